/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * A process ends with its last thread, and ours must not be the one that keeps
 * it alive.  That matters only when main leaves by pthread_exit: from then on
 * the listener looks whether anybody but itself is left, and then goes.
 *
 * The last thread of all runs exit(0), with its handlers and the flush of
 * stdio.  The listener cannot be it, because its descriptor table is its own.
 * So main, on its way out, leaves an undertaker behind: a thread with the
 * target's descriptors that sleeps until the listener has gone, and goes last.
 */
#ifndef SHIM_LIFE_LAST_THREAD_H
#define SHIM_LIFE_LAST_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/* Called by the main thread.  Context: init. */
void last_thread_init(void);

/* Called by every thread that is in pthread_exit or thrd_exit.  Context: hook. */
void last_thread_note_exit(void);

/* Called before `thread`, a pthread_t, is cancelled.  Context: hook. */
void last_thread_note_cancel(uint64_t thread);

/* Main has left, or is about to.  Context: hook. */
bool last_thread_is_leaving(void);

/* This thread is the only one.  Context: child. */
void last_thread_after_fork(void);

#endif
