/* http: the server and its pages.  May include proto and below. */
/*
 * A CPU profile from the first instruction to the last, of which files are written now
 * and then: windows, one after the other, each of which adds to a sum.  The next one
 * begins before the last one ends, so that no time is in neither.
 *
 * Context: listener, but for out_cpu_after_fork().
 */
#ifndef HTTP_OUT_CPU_H
#define HTTP_OUT_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/build.h"

/* Samples from now on.  False: that cannot be, and why is in *why. */
bool out_cpu_begin(int hz, const char **why);

/* Nothing is sampled any more; what was stays in the sum. */
void out_cpu_end(void);

/*
 * The message of all so far, in `a`; sampling goes on.  Returns the CPU time in it in ns:
 * below `least_ns` there is no message.  -1 without memory.
 */
int64_t out_cpu_message(struct arena *a, int64_t least_ns, struct message *out);

/* What the parent sampled is the parent's.  Context: child. */
void out_cpu_after_fork(void);

#endif
