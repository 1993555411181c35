/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * Who holds what a thread waits for, as glibc's own records say: a mutex keeps its
 * owner's tid behind its futex word, a read-write lock its writer's, a thread
 * that can be joined its own, a stream's lock the address of its owner's record.
 *
 * Context: listener.
 */
#ifndef SAMPLER_LOCKS_LOCK_OWNER_H
#define SAMPLER_LOCKS_LOCK_OWNER_H

#include "sampler/locks/wait_reason.h"

struct lock_owner {
	uint64_t lock;	  /* address of the mutex or lock; 0: a join, or not known */
	int tid;	  /* who holds it, or who is joined; 0: not known */
	uint32_t readers; /* how many hold it for reading */
	bool is_shared;	  /* with other processes, perhaps of other pid namespaces */
	bool hopeless;	  /* the kernel has refused it as a deadlock, and libc waits for ever */
};

/*
 * The threads that hold a lock for reading: at most `max` ids.  Returns how many there are;
 * 0: it is not known of all, and then of none.
 */
uint32_t lock_owner_readers(const struct lock_owner *o, int *tid, uint32_t max);

/* Reads the program's memory as it is now. */
struct lock_owner lock_owner_read(const struct wait_reason *w, const struct task_call *call);

#endif
