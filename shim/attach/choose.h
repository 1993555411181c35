/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/*
 * Which thread may make a call for us.  dlopen takes the loader's lock and the allocator's;
 * so it has to be a thread that waits in the kernel where it holds neither:
 *
 *   - in a call of libc's own code that waits for descriptors, children or signals, which
 *     nobody makes with such a lock held; or for a condition, a join or a semaphore (a futex
 *     with a bit set, which none of these locks is waited for with); or it sleeps, and has
 *     done so for a while (allocators sleep for microseconds while they wait for a lock);
 *   - if there is a choice, in one that goes on as if nothing had been: the timeout of an
 *     epoll_wait begins anew;
 *   - and no signal handler is on its stack: that may have interrupted malloc.
 */
#ifndef SHIM_ATTACH_CHOOSE_H
#define SHIM_ATTACH_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/attach/image.h"

struct waiting {
	int tid;
	long number; /* of the system call */
	uint64_t pc, sp;
};

/* The thread that is best suited now.  False: none is.  `libc` is the program's. */
bool choose_thread(const struct image *libc, struct waiting *out);

/* The thread is still in that call. */
bool choose_is_still(int pid, const struct waiting *w);

#endif
