/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * What looks may cost: with the scans of the CPU profile beside them 1 % of one processor,
 * for all wall-clock profiles together.
 *
 * To read a thread's clock is cheap, and is done for all while that can be paid.  Of those
 * whose place is not known, because they have run or were not looked at yet, a random part
 * is looked at, and each look counts for the others too.  Neither part depends on what a
 * thread does at the moment, so that the estimate is right on average.
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_BUDGET_H
#define SAMPLER_WALL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_ALL (1U << 16) /* a part of this size is everybody */

struct budget {
	int64_t free_ns;    /* may be used now; below 0 after a costly sweep */
	int64_t filled_ns;  /* when that was filled up last, CLOCK_MONOTONIC */
	int64_t clock_ns;   /* what a thread costs whose clock is read, on average, */
	int64_t look_ns;    /* and what a look at it costs */
	int64_t known, all; /* threads of all sweeps: whose place was known then; and all */
};

/* Of BUDGET_ALL. */
struct budget_parts {
	uint32_t threads; /* of all; 0: the sweep has to wait */
	uint32_t looks;	  /* that are looked at, of those whose place is not known */
};

/* What a sweep has done. */
struct budget_bill {
	int64_t ns;	  /* CPU time */
	uint32_t threads; /* there are */
	uint32_t drawn;	  /* the sweep was at */
	uint32_t clocks;  /* of these were read */
	uint32_t unknown; /* were drawn, and where they are was not known */
	uint32_t looks;	  /* at so many of these */
};

void budget_begin(struct budget *b, int64_t now_ns);

/* What a sweep may do now; of `known` threads the place was known at the last sweep, of
 * `unknown` not; `sharers` profiles run. */
struct budget_parts budget_draw(struct budget *b, int64_t now_ns, uint32_t known, uint32_t unknown,
				uint32_t sharers);

void budget_pay(struct budget *b, const struct budget_bill *bill);

/* Of how many threads sweeps knew what they did, in per cent. */
int budget_known_percent(const struct budget *b);

#endif
