#include "sampler/cpu/balance.h"

#include "sampler/base/cc.h"

/* Who used the time of as many ticks is weighed by itself. */
#define OWN_TICKS 4
/* As many times the root of their number, squared. */
#define CHANCE	      4
#define CHANCE_UNSEEN 9
/* A good part. */
#define MET_PART 4

/*
 * Whether ticks met the group as they meet others: all but what chance misses, or a good part.
 * Short threads that start right behind a scheduler tick have fewer than they should, by up
 * to a half; those that ticks do not meet have hardly any.
 */
static bool was_met(const struct cpu_group *g, int64_t ticks, int64_t draw_ns)
{
	int64_t less = g->used - ticks;
	__int128 chance = (__int128)(g->is_unseen ? CHANCE_UNSEEN : CHANCE) * g->used * draw_ns;

	return less <= 0 || (__int128)less * less <= chance ||
	       (!g->is_blind && ticks >= g->used / MET_PART);
}

struct balance balance_of(const struct cpu_group *g, int64_t draw_ns)
{
	int64_t ticks = g->sampled + g->lost, less = g->used - ticks;

	if (ticks && (g->is_late || was_met(g, ticks, draw_ns)))
		return (struct balance){ .ticks = g->used };
	if (g->looked)
		return (struct balance){ .ticks = ticks, .looks = less };
	/* it could not be looked at: it ran, or waited for a processor, where ticks do meet it */
	if (ticks && !g->is_blind && !g->is_unseen)
		return (struct balance){ .ticks = g->used };
	return (struct balance){ .ticks = ticks, .missing = less };
}

bool balance_is_small(int64_t ns, int64_t draw_ns)
{
	return ns < OWN_TICKS * draw_ns;
}

int64_t balance_scale(int64_t n, int64_t by, int64_t over)
{
	return over ? (int64_t)((__int128)n * by / over) : 0;
}

int64_t balance_samples(int64_t ns, int64_t period_ns)
{
	return ns ? MAX((ns + period_ns / 2) / period_ns, (int64_t)1) : 0;
}
