/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * Weighing: what a group of threads or processes used, by the kernel's clocks, against what
 * ticks saw of it.
 *
 * A tick is a draw: it stands for the time to the next one on average, and what a group
 * used since its last tick is seen by none.  The clocks say how much the group used in
 * all, so what its ticks stand for is scaled to that, as a survey is weighted to a
 * known population.
 *
 * That holds for draws that may fall anywhere.  Threads that the scheduler's tick never
 * meets (it wakes them, and they sleep before the next) are drawn too seldom; what is
 * missing then beyond chance is not what their few ticks saw, but what lies before the
 * places at which they were looked at from outside (look.h).
 *
 * How much chance allows: n draws vary by the root of n, and two of those are believed
 * (1 group in 40 that is all right is taken for one that is not).  Of a group at which nobody
 * can look three are: its time would have no stack at all.
 *
 * Context: any role.
 */
#ifndef SAMPLER_CPU_BALANCE_H
#define SAMPLER_CPU_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

/* CPU time in ns. */
struct cpu_group {
	int64_t used;	 /* by the clocks of its threads */
	int64_t sampled; /* what its ticks stand for */
	int64_t lost;	 /* the same of ticks that the ring had no room for */
	int64_t looked;	 /* used by threads before somebody looked at them from outside */
	int64_t blind;	 /* of `used`, by threads that had no timer for a while */
	bool is_blind;	 /* that is a good part of it; see account.c */
	bool is_late;	 /* of threads that no hook saw start: drawn only once they are found */
	bool is_unseen;	 /* of processes that nobody looked at from outside */
};

/* The three add up to `used`. */
struct balance {
	int64_t ticks;	 /* what all its ticks are to stand for, lost ones included */
	int64_t looks;	 /* what is to be shown where its threads were looked at */
	int64_t missing; /* what nobody saw */
};

/* `draw_ns`: CPU time from one tick to the next. */
struct balance balance_of(const struct cpu_group *g, int64_t draw_ns);

/* So little that whoever used it has too few ticks to be weighed by itself. */
bool balance_is_small(int64_t ns, int64_t draw_ns);

/* What `n` of `over` is to stand for when all of `over` are to stand for `by`; 0 of 0. */
int64_t balance_scale(int64_t n, int64_t by, int64_t over);

/*
 * How many samples stand for `ns` of CPU time: samples times period is CPU time, as in Go's
 * profiles, and what has time has one at least.
 */
int64_t balance_samples(int64_t ns, int64_t period_ns);

#endif
