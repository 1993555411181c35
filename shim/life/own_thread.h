/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * A thread of ours that libc does not know of: made by clone itself, on a stack and
 * with thread-local storage of our own.
 *
 * To libc the program stays what it is.  One with a single thread goes on as such:
 * malloc and stdio take no locks, fork() takes none of malloc's, its last thread
 * ends the process.  And nothing of libc's is needed to make such a thread, so it
 * can be made anywhere: in a signal handler, inside malloc, after any fork.
 *
 * What the thread may do is what our imports are (.ci/imports.txt): functions that
 * touch the bytes they are given, and errno.  Nobody else finds it in a list: not
 * set*id, which is why these are hooked (shim/hooks/identity.c).
 */
#ifndef SHIM_LIFE_OWN_THREAD_H
#define SHIM_LIFE_OWN_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct own_thread {
	uint32_t alive; /* futex word: the thread's id, until the kernel writes 0 at its end */
	int tid;	/* the last one's, 0: there was none */
	void *memory;	/* NULL: none yet; kept for the next thread */
	size_t bytes;
};

/*
 * Starts fn(arg) in a thread that blocks every signal, with the privileges and
 * limits of the caller; it ends with the status that fn returns.  `t` must be zero or its last
 * thread joined.  False: no memory, or the kernel refuses.  Context: init, hook; no two at once.
 */
bool own_thread_start(struct own_thread *t, int (*fn)(void *arg), void *arg);

/* It has not ended.  Context: any role. */
bool own_thread_is_alive(const struct own_thread *t);

/*
 * Waits until the kernel knows no such thread any more, until `until_ns` at most
 * (CLOCK_MONOTONIC).  False: it is still there.  Context: hook.
 */
bool own_thread_join(struct own_thread *t, int64_t until_ns);

/* The thread and its memory are the parent's.  Context: child. */
void own_thread_forget(struct own_thread *t);

#endif
