/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The timer of one record: who may start and stop it, so that no tick of ours ever
 * waits behind a signal mask, where sigpending(), sigwait() or a signalfd would show it.
 *
 * The listener looks at a thread's mask before it starts the timer, and the thread
 * may block the signal in between.  So its hook looks at the record before the
 * mask changes and once more after it: the record was there before the listener
 * looked, so either the listener saw the mask or the hook sees the record.
 */
#ifndef SAMPLER_CPU_ARM_H
#define SAMPLER_CPU_ARM_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/counters.h"
#include "sampler/process/threads.h"

/* Once for a record, whatever becomes of it.  Context: listener, hook. */
void arm_count_once(struct thread *t, enum counter c);

/*
 * Starts the timer of an UNARMED record that nobody else is at; a refusal is
 * counted.  Context: the thread itself, with the signal unblocked.
 */
void arm_self(struct thread *t, int signal, int64_t period_ns);

/*
 * As arm_self(), for another thread, unless that blocks the signal or has an alternate stack
 * without room.  Context: listener.
 */
void arm_other(struct thread *t, int signal, int64_t period_ns);

/* Whether a tick may come to another thread.  Context: listener. */
bool arm_may_tick(struct thread *t, int signal);

/*
 * ARMED: takes the timer away again, since the thread blocks the signal, or lost its
 * alternate stack, and no hook told; `why` counts it.  Context: listener.
 */
void arm_undo(struct thread *t, enum counter why);

/* Gives a PAUSED thread its timer back: it runs with the signal unblocked and no hook told (by a
 * jump).  Context: listener. */
void arm_resume_other(struct thread *t);

/* ARMED: another period, from a random moment on.  Context: listener. */
void arm_change_period(struct thread *t, int64_t period_ns);

/* The record is ENDED and has no timer.  Context: listener, or the thread at its end. */
void arm_end(struct thread *t);

/* ---- around a change of the calling thread's mask.  Context: hook */

/* Before it blocks `signal`: a timer that runs is stopped, what it queued comes now. */
void arm_pause(struct thread *t);

/* After it blocked it: the same for a timer that was being started; what that queued is dropped. */
void arm_pause_late(struct thread *t, int signal);

/* After it unblocked it: a PAUSED timer goes on. */
void arm_resume_self(struct thread *t);

/* ---- the record of a thread dump: one tick, then ENDED */

/*
 * False: the thread blocks the signal, or there is no timer; the record is ENDED.
 * Context: listener.
 */
bool arm_once(struct thread *t, int signal);

/* True for the one who ended what arm_once() began.  Context: listener, hook. */
bool arm_end_once(struct thread *t);

/* As arm_end_once(), after the calling thread blocked `signal`.  Context: hook. */
bool arm_end_once_late(struct thread *t, int signal);

/* Drops ticks of ours that wait behind the mask; other signals are queued again.  Context: hook. */
void arm_drop_pending(int signal);

#endif
