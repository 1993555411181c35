/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * Where the time of all threads goes: running, waiting for a processor, or blocked, by
 * stack.  No thread is woken, interrupted or waited for.
 *
 * Running time is a CPU profile of the same window.  Blocked time is found by looks at
 * random moments; how long a thread was blocked in all is known from its clocks, so that
 * looks only say where.
 *
 * Context: listener, all of it.
 */
#ifndef SAMPLER_WALL_WALL_H
#define SAMPLER_WALL_WALL_H

#include <stdbool.h>
#include <stdint.h>

#define WALL_HZ_MIN	1
#define WALL_HZ_MAX	100
#define WALL_HZ_DEFAULT 20

struct wall_profile;

/*
 * Starts a profile: `hz` looks a second on average (clamped to WALL_HZ_MIN..WALL_HZ_MAX),
 * `cpu_hz` ticks of running threads.  NULL and a sentence in *why when that cannot work now.
 */
struct wall_profile *wall_start(int hz, int cpu_hz, const char **why);

/* Looks at all threads when it is time to; returns when it will be (CLOCK_MONOTONIC ns). */
int64_t wall_step(struct wall_profile *w);

/* Ends the window. */
void wall_stop(struct wall_profile *w);

/* Gives everything back, stopped or not. */
void wall_free(struct wall_profile *w);

/* What a reader has to know about a stopped profile. */
struct wall_summary {
	int64_t start_epoch_ns, duration_ns, period_ns;
	int64_t life_ns;       /* of all threads: the sum of all parts, within 1 % */
	int64_t unsampled_ns;  /* blocked, and no look says where */
	int known;	       /* of so many per cent of the threads a look knew what they did */
	bool is_queue_unknown; /* the kernel does not tell who waits for a processor */
	bool is_place_unknown; /* it does not tell where threads wait */
	uint64_t unlisted;     /* threads that had no place: their time is missing */
};

struct wall_summary wall_summary(const struct wall_profile *w);

/* No profile runs.  Context: child. */
void wall_after_fork(void);

#endif
