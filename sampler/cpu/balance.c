#include "sampler/cpu/balance.h"

/*
 * Whether ticks met the group as they meet others: all but what chance misses, or a good part.
 * Short threads that start right behind a scheduler tick have fewer than they should, by up
 * to a half; those that ticks do not meet have hardly any.
 */
static bool was_met(const struct cpu_group *g, int64_t ticks, int64_t draw_ns)
{
	int64_t less = g->used - ticks;

	return less <= 0 || (__int128)less * less <= (__int128)4 * g->used * draw_ns ||
	       (!g->is_blind && ticks >= g->used / 4);
}

struct balance balance_of(const struct cpu_group *g, int64_t draw_ns)
{
	int64_t ticks = g->sampled + g->lost, less = g->used - ticks;

	if (ticks && (g->is_late || was_met(g, ticks, draw_ns)))
		return (struct balance){ .ticks = g->used };
	if (g->looked)
		return (struct balance){ .ticks = ticks, .looks = less };
	/* it could not be looked at: it ran, or waited for a processor, where ticks do meet it */
	if (ticks && !g->is_blind)
		return (struct balance){ .ticks = g->used };
	return (struct balance){ .ticks = ticks, .missing = less };
}
