/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * One kernel timer per thread on its CPU-time clock, by raw system calls.  A
 * sleeping thread uses no CPU time and is never signalled.
 *
 * Context: listener and hook; each call touches one record that the caller owns.
 */
#ifndef SAMPLER_CPU_TIMERS_H
#define SAMPLER_CPU_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/threads.h"

/*
 * Looks how many timers there may be: a quarter of the user's limit on queued
 * signals, of which each takes one; the target may need the rest.  Context: listener.
 */
void timers_budget(void);

/*
 * With RLIMIT_RTTIME of 0 the kernel takes any thread that has a timer for one that ran
 * too long at a real-time priority, and sends it SIGXCPU or SIGKILL.  Context: listener.
 */
bool timers_kill(void);

/*
 * Creates and starts the timer of t->tid: a tick every period_ns of CPU time,
 * the first after a random part of that, so that threads of any length are
 * sampled in proportion to what they use; sets t->first_weight_ns.  Returns 0 or -errno (EAGAIN:
 * the budget is spent; EINVAL: the thread is gone).
 */
int timer_start(struct thread *t, int signal, int64_t period_ns);

/*
 * As timer_start(), for a thread dump: one tick, as soon as the thread is met running, that
 * stands for no time.
 */
int timer_start_once(struct thread *t, int signal);

/* Changes the period of a running timer. */
int timer_change_period(struct thread *t, int64_t period_ns);

void timer_delete_of(struct thread *t);

/* Timers are not inherited.  Context: child. */
void timers_after_fork(void);

/* Stops the timer and remembers in t->paused_left_ns what was left to the next tick. */
void timer_pause(struct thread *t);
void timer_resume(struct thread *t);

/* No tick of this thread within the next period of its CPU time.  Context: hook. */
void timer_postpone(struct thread *t);

/* How long a scheduler tick is. */
int64_t scheduler_tick_ns(void);

/* CPU time of one thread of this process in ns, -1 if it is gone. */
int64_t thread_cpu_ns(int tid);

#endif
