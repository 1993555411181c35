#include "sampler/cpu/balance.h"

/* `less` of the `used` may have been missed by chance. */
static bool may_be_chance(int64_t less, int64_t used, int64_t draw_ns)
{
	return less <= 0 || (__int128)less * less <= (__int128)4 * used * draw_ns;
}

struct balance balance_of(const struct cpu_group *g, int64_t draw_ns)
{
	int64_t ticks = g->sampled + g->lost, less = g->used - ticks;

	if (ticks && (g->is_late || may_be_chance(less, g->used, draw_ns)))
		return (struct balance){ .ticks = g->used };
	if (g->looked)
		return (struct balance){ .ticks = ticks, .looks = less };
	/* it could not be looked at: it ran, or waited for a processor, where ticks do meet it */
	if (ticks && !g->is_blind)
		return (struct balance){ .ticks = g->used };
	return (struct balance){ .ticks = ticks, .missing = less };
}
