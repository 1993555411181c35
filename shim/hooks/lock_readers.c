/*
 * Who holds a read-write lock for reading, recorded for goroutine where the user asked for it
 * (PPROF_RWLOCK_READERS).  These functions stand between the hooks and libc then, and
 * nowhere else.
 */
#include "shim/hooks/lock_readers.h"

#include "sampler/locks/readers.h"
#include "shim/hooks/locks.h"

/* X(name, parameters, arguments): what gives a lock to a reader */
#define READS(X)                                                                                   \
	X(rdlock, (pthread_rwlock_t * l), (l))                                                     \
	X(tryrdlock, (pthread_rwlock_t * l), (l))                                                  \
	X(timedrdlock, (pthread_rwlock_t * l, const struct timespec *until), (l, until))           \
	X(clockrdlock, (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until),      \
	  (l, clock, until))

/* libc's own. */
static struct {
#define X(name, parameters, arguments) int(*name) parameters;
	READS(X)
#undef X
	int (*unlock)(pthread_rwlock_t *);
} libc;

static COLD NOINLINE void note(const pthread_rwlock_t *l)
{
	if (!locks_stop_if_off())
		readers_add(l, locks_own_tid());
}

#define X(name, parameters, arguments)                                                             \
	static OUR_FRAME int recorded_##name parameters                                            \
	{                                                                                          \
		int err = libc.name arguments;                                                     \
                                                                                                   \
		if (err == 0)                                                                      \
			note(l);                                                                   \
		return err;                                                                        \
	}
READS(X)
#undef X

/* In the first word: a writer has it, since glibc 2.25. */
#define WRITE_PHASE 1U

/* Taken out before the lock is given back: nobody is named that has it no more. */
static OUR_FRAME int recorded_unlock(pthread_rwlock_t *l)
{
	if (!(__atomic_load_n(&l->__data.__readers, __ATOMIC_RELAXED) & WRITE_PHASE))
		readers_remove(l, locks_own_tid());
	return libc.unlock(l);
}

#define PUT(name)                                                                                  \
	if (next_lock.pthread_rwlock_##name != recorded_##name) {                                  \
		libc.name = next_lock.pthread_rwlock_##name;                                       \
		__atomic_store_n(&next_lock.pthread_rwlock_##name, recorded_##name,                \
				 __ATOMIC_RELEASE);                                                \
	}

void lock_readers_record(void){
#define X(name, parameters, arguments) PUT(name)
	READS(X)
#undef X
		PUT(unlock)
}

/* It cannot wait; here only so that a reader that comes this way is recorded. */
EXPORT int pthread_rwlock_tryrdlock(pthread_rwlock_t *l)
{
	return next_lock.pthread_rwlock_tryrdlock(l);
}
