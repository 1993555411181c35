/* base: memory, system calls, text, counters.  May include arch. */
/*
 * CLOCK_MONOTONIC for hooks, twice for each contended wait: through the vdso,
 * which is a fifth of a system call.
 */
#ifndef SAMPLER_BASE_MONOTONIC_H
#define SAMPLER_BASE_MONOTONIC_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"

typedef int (*clock_function)(clockid_t clock, struct timespec *ts);

/* The vdso's clock_gettime, or NULL for system calls.  Context: init. */
void monotonic_use(clock_function fn);

/*
 * The program forbids itself to read the processor's clock (PR_SET_TSC): the next
 * reading, of the vdso too, would be its SIGSEGV.  For ever.  A program that is started
 * so does not come to main: the loader reads it.  Context: hook.
 */
void monotonic_avoid_cycles(void);

/*
 * Nanoseconds.  In a sandbox, where a hook makes no system call, no more precise than
 * the scheduler's tick; 0 when no time can be had there.  Context: hook.
 */
int64_t monotonic_ns(void);

/* As monotonic_ns(), as of the last scheduler tick, 10 ms ago at most: no clock is read. */
int64_t monotonic_coarse_ns(void);

/*
 * How long ago that time of that clock was, CLOCK_REALTIME or CLOCK_MONOTONIC, as far as it
 * was not set meanwhile; -1 when it was not yet, or is not known.  Context: hook.
 */
int64_t monotonic_since(clockid_t clock, const struct timespec *then);

/*
 * The processor's clock, or what comes near it where it may not be read.  For
 * differences within one thread.  Context: hook.
 */
extern bool monotonic_lacks_cycles;
uint64_t monotonic_instead_of_cycles(void);

static inline uint64_t monotonic_cycles(void)
{
	return LIKELY(!monotonic_lacks_cycles) ? arch_cycles() : monotonic_instead_of_cycles();
}

#endif
