/* base: memory, system calls, text, counters.  May include arch. */
/*
 * CLOCK_MONOTONIC for hooks, twice for each contended wait: through the vdso,
 * which is a fifth of a system call.
 */
#ifndef SAMPLER_BASE_MONOTONIC_H
#define SAMPLER_BASE_MONOTONIC_H

#include <stdint.h>
#include <time.h>

typedef int (*clock_function)(clockid_t clock, struct timespec *ts);

/* The vdso's clock_gettime, or NULL for system calls.  Context: init. */
void monotonic_use(clock_function fn);

/*
 * Nanoseconds; 0 when the time cannot be had: in a sandbox, where a hook makes
 * no system call, on a machine whose clock is one.  Context: hook.
 */
int64_t monotonic_ns(void);

/* As monotonic_ns(), as of the last scheduler tick, 10 ms ago at most: no clock is read. */
int64_t monotonic_coarse_ns(void);

#endif
