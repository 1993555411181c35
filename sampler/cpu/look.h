/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * Where a thread is, seen from outside, for threads that use CPU time and get no ticks: the call
 * in which it sleeps (unwind/blocked.h), or the handler in which ticks wait (action_masks.h) and
 * what that interrupted (unwind/handler_frame.h).
 *
 * Context: listener.
 */
#ifndef SAMPLER_CPU_LOOK_H
#define SAMPLER_CPU_LOOK_H

#include <stdbool.h>

#include "sampler/process/threads.h"
#include "sampler/unwind/walk.h"

/* Memory for it; without that nobody is looked at. */
void look_open(void);
void look_close(void);

/* From now on `n` threads may be looked at: 10 to 20 us each. */
void look_allow(int n);

/*
 * Thread `tid` waits for us, as a program ends: that says nothing of where its time went, and it is
 * not looked at from now on.  0: none does.  Context: hook.
 */
void look_spare(int tid);

/* Its stack, under the leaf [between ticks], good until the next call; NULL: it runs elsewhere, is
 * gone, or enough have been looked at. */
const struct walk *look_at(struct thread *t);

/* The memory is the parent's.  Context: child. */
void look_after_fork(void);

#endif
