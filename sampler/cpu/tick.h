/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The handler's side of a CPU profile: where ticks go, and how the listener
 * knows that no handler is still writing.
 */
#ifndef SAMPLER_CPU_TICK_H
#define SAMPLER_CPU_TICK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "sampler/unwind/ring.h"

/* From now on ticks are captured into `r`; NULL: from now on they are ignored.  Context: listener.
 */
void tick_direct_to(struct ring *r);

/* No handler is inside, so a ring that ticks no longer go to may be unmapped.  Context: listener.
 */
bool tick_is_quiet(void);

/* Whether a tick is on its way to the listener.  Context: hook. */
bool tick_has_pending(void);

/* For carrier_handle_ticks().  Context: handler. */
bool tick_is_ours(const siginfo_t *info);
void tick_handle(const siginfo_t *info, const void *ucontext);

/* No ring, and nobody inside.  Context: child. */
void tick_after_fork(void);

#endif
