/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * What looks may cost: 1 % of one processor for all wall-clock profiles together.  Where
 * that is not enough for all threads, each look is at a random part of them, and what is
 * found counts for the others too.  The part does not depend on what threads do, so that
 * the estimate is right on average.
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_BUDGET_H
#define SAMPLER_WALL_BUDGET_H

#include <stdint.h>

#define BUDGET_ALL (1U << 16) /* a part of this size is everybody */

struct budget {
	int64_t free_ns;	/* may be used now; below 0 after a costly sweep */
	int64_t filled_ns;	/* when that was filled up last, CLOCK_MONOTONIC */
	int64_t cost_ns;	/* of a thread that is looked at, on average */
	uint64_t parts, sweeps; /* sums, for budget_mean_part() */
};

void budget_begin(struct budget *b, int64_t now_ns);

/* How large a part of `threads` a sweep may look at now, of BUDGET_ALL; `sharers` profiles
 * run.  0: it has to wait. */
uint32_t budget_part(struct budget *b, int64_t now_ns, uint32_t threads, uint32_t sharers);

/* A sweep used `ns` of CPU time for `looks` threads. */
void budget_used(struct budget *b, int64_t ns, uint32_t looks);

/* Of all sweeps so far, in per cent; 100 while there was none. */
int budget_mean_part(const struct budget *b);

#endif
