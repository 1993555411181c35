/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * How soon the list of threads is read again while a profile runs.
 *
 * Threads that no hook sees start (libc's own for timers, those of clone) may live
 * shorter than the usual interval.  The process's clock tells that they are there: it
 * then goes faster than those of all known threads together.
 *
 * Context: listener.
 */
#ifndef SAMPLER_CPU_HUNT_H
#define SAMPLER_CPU_HUNT_H

#include <stdint.h>

#include "sampler/base/sys.h"

#define SCAN_EVERY_NS (250 * NS_PER_MS)

/* The roster was opened. */
void hunt_begin(void);

/*
 * A scan has ended that took `cost_ns` of CPU time: when (CLOCK_MONOTONIC) the next one is
 * due.  Of thousands of threads a scan takes milliseconds; it is made so seldom then that
 * scans take no more than 0.2 % of a processor, up to 5 s.
 */
int64_t hunt_next_scan(int64_t now_ns, int64_t cost_ns);

#endif
