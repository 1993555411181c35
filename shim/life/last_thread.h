/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * A process ends with its last thread, and ours must not be the one that keeps it.
 * libc does not count ours: when the program's last thread returns or leaves by
 * pthread_exit, libc calls exit(0) in it.  What libc does not see is a thread that
 * makes the system call exit itself.  When main has left, by whatever way, and a
 * thread has left like that, the listener looks whether it is alone, and then goes.
 *
 * The status of the process is that of the thread that ends last, in kernels that count
 * so (5.19 and later; before that main's, whoever is last).  That is ours then, so it ends
 * with the status of the one before: what the system call was given, or 0.  A thread that
 * returns where no hook sees it, cancelled or made by thrd_create, and that within 20 ms
 * after the last call, is taken for that call's.
 */
#ifndef SHIM_LIFE_LAST_THREAD_H
#define SHIM_LIFE_LAST_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/* Called by the main thread, or nobody is it.  Context: init. */
void last_thread_init(void);

/*
 * A filter is about to come that kills a thread and not the process: the main thread may
 * end as no hook sees.  Then the listener looks after it, once a second; and where it was
 * the program's last, the process ends as that.  Context: hook.
 */
void last_thread_expect_kill(void);

/* The calling thread is the main thread.  Makes no system call.  Context: hook. */
bool last_thread_is_main(void);

/*
 * Called by every thread that leaves, as far as hooks see it: the process's status is 0
 * if it was the last.  Context: hook.
 */
void last_thread_note_exit(void);

/* Called by one that leaves by the system call, with its status.  Context: hook. */
void last_thread_note_call(int status);

/* This thread is the only one.  Context: child. */
void last_thread_after_fork(void);

#endif
