/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Profiles as files (http/out.h) in a process that lives and ends: the listener samples
 * and writes, a hook or a signal handler that sees the end coming waits for it: half a
 * second, and where the listener does not get that from the machine two at most.
 *
 *   asked == answered    nobody waits
 *   asked != answered    a thread waits; the listener writes, then answers
 */
#ifndef SHIM_LIFE_RECORDING_H
#define SHIM_LIFE_RECORDING_H

#include <stdint.h>

/* The process ends, or becomes another program: its files are written and waited for.
 * Context: hook, unfiltered thread that is no vfork child's. */
void recording_finish(void);

/* A profile by hand begins, or ends (out_toggle()).  Context: hook, also in a signal handler. */
void recording_toggle(void);

/* Does what is asked and due.  Returns when it is to be called again.  Context: listener. */
int64_t recording_do_due(int64_t now_ns);

/* Context: child. */
void recording_after_fork(void);

#endif
