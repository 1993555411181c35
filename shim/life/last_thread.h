/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * A process ends with its last thread, and ours must not be the one that keeps it.
 * libc does not count ours: when the program's last thread returns or leaves by
 * pthread_exit, libc calls exit(0) in it.  What libc does not see is a thread that
 * makes the system call exit itself.  When main has left, by whatever way, and a
 * thread has left like that, the listener looks whether it is alone, and then goes.
 */
#ifndef SHIM_LIFE_LAST_THREAD_H
#define SHIM_LIFE_LAST_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/* Called by the main thread, or nobody is it.  Context: init. */
void last_thread_init(void);

/* The calling thread is the main thread.  Makes no system call.  Context: hook. */
bool last_thread_is_main(void);

/* Called by every thread that leaves by pthread_exit or thrd_exit.  Context: hook. */
void last_thread_note_exit(void);

/* Called by one that leaves by the system call.  Context: hook. */
void last_thread_note_call(void);

/* This thread is the only one.  Context: child. */
void last_thread_after_fork(void);

#endif
