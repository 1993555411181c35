/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * CPU profiles: per-thread CPU-time timers, one shared sampler, any number of
 * profiles at once, each with its own window.
 *
 * The sampler is armed by the first profile and disarmed by the end of the
 * last.  Its rate is the highest that a running profile asked for; every sample
 * carries the CPU time it stands for, so a profile is right at any rate.
 *
 * Context: listener, all of it.
 */
#ifndef SAMPLER_CPU_CPU_H
#define SAMPLER_CPU_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/cpu/account.h"
#include "sampler/unwind/walk.h"

#define CPU_HZ_MIN 1
#define CPU_HZ_MAX 1000

/*
 * Starts a profile at `hz` (clamped to CPU_HZ_MIN..CPU_HZ_MAX).  Returns NULL
 * and a sentence in *why when sampling cannot work now.
 */
struct cpu_profile *cpu_profile_start(int hz, const char **why);

/*
 * The first profile is taken of a process that has just begun, and may end at once: the
 * ring's memory is touched a moment later, all but its first part.
 */
void cpu_expect_short_life(void);

/*
 * Processes that are forked until `until_ns` are in the profile, too: in its `born`, with
 * what their ticks stand for.
 */
void cpu_profile_include_children(struct cpu_profile *p, int64_t until_ns);

/* How many that were until now.  Of children of a process that was forked before they say nothing.
 */
struct nursery_counts cpu_profile_children(const struct cpu_profile *p);

/* Ends the window: drains what is captured and accounts for unsampled time. */
void cpu_profile_stop(struct cpu_profile *p);

/* Gives everything back, stopped or not. */
void cpu_profile_free(struct cpu_profile *p);

/*
 * A thread dump's part in the sampler: threads that run are captured by their next
 * tick, which stands for no time and is in no profile.  While a dump is open,
 * what was learned about code stays.
 */
struct cpu_dump {
	void (*seen)(void *arg, int tid, const struct walk *w); /* called from cpu_dump_poll() */
	void *arg;
	uint32_t id; /* never 0 */
	int signal;  /* the carrier, once a thread was asked for */
	struct cpu_dump *next;
};

/* `seen` and `arg` are the caller's. */
void cpu_dump_open(struct cpu_dump *d);

/* Asks for a thread's next tick; false when that cannot work. */
bool cpu_dump_tick_once(struct cpu_dump *d, int tid);

/* Takes what ticks have captured. */
void cpu_dump_poll(void);

void cpu_dump_close(struct cpu_dump *d);

/*
 * Does what is due: drains captures, looks for new threads.  Returns when it
 * wants to run again (CLOCK_MONOTONIC ns), INT64_MAX while no profile runs.
 */
int64_t cpu_do_due(int64_t now_ns);

/* Refuses every profile from now on; `why` is a sentence that lives for ever.  Context: any role.
 */
void cpu_disable(const char *why);

/* No profile runs and no memory is held.  Context: child. */
void cpu_after_fork(void);

/* Why the last start failed or every start will; NULL while all is well. */
const char *cpu_refusal(void);

/* Timers are armed: some profile is running. */
bool cpu_is_sampling(void);

#endif
