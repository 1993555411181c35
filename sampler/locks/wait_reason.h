/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * What a thread waits for, in words: from its system call, and for futexes from
 * the functions of libc that it is in.  Pure.
 *
 * Context: listener.
 */
#ifndef SAMPLER_LOCKS_WAIT_REASON_H
#define SAMPLER_LOCKS_WAIT_REASON_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/descriptor_kind.h"
#include "sampler/process/task_call.h"

enum wait_kind {
	WAIT_OTHER,
	WAIT_FUTEX, /* on a futex, for whatever; or what goes on after an interruption */
	WAIT_MUTEX,
	WAIT_RWLOCK,
	WAIT_COND,
	WAIT_SEMAPHORE,
	WAIT_BARRIER,
	WAIT_JOIN,
	WAIT_ONCE,
	WAIT_LIBC, /* one of libc's own locks: of a stream, or of malloc */
};

struct wait_reason {
	enum wait_kind kind;
	const char *reason; /* "epoll wait"; no comma, no bracket; lives for ever */
	bool timed;	    /* a futex wait that ends by itself */
};

/* By the system call alone. */
struct wait_reason wait_reason_of_call(const struct task_call *call);

/* Whether it is a read or a write of one descriptor, the call's first argument; and the
 * same with what that is: "read pipe". */
bool wait_reason_is_of_descriptor(const struct wait_reason *w);
const char *wait_reason_of_descriptor(const struct wait_reason *w, enum descriptor_kind kind);

/*
 * From what one of the first two said: kind WAIT_FUTEX if that is no more than a futex,
 * else WAIT_OTHER without a reason.
 */
struct wait_reason wait_reason_of_futex(const char *reason);

/*
 * A futex wait by the name of a function that it is in, leaf first: false when the
 * name says nothing, and then the next one may.
 */
bool wait_reason_refine(struct wait_reason *w, const char *function);

/* The same by one of the names that the C++ run time has, in whichever library. */
bool wait_reason_refine_cxx(struct wait_reason *w, const char *function);

/* By the kernel function it sleeps in, where the call is not told; NULL if that says nothing. */
const char *wait_reason_of_wchan(const char *wchan);

#endif
