/*
 * pthread_rwlock_*: as the mutex, one look and a jump; only where somebody may be
 * in the way the real try-lock.  Whom that lets pass, readers beside a waiting
 * writer for instance, the real call lets pass too, so the order in which threads
 * get the lock stays what it was.
 *
 * The timed calls refuse a bad deadline even when the lock is free; so bad ones
 * go to the real function unseen.
 */
#include "shim/hooks/locks.h"

static enum wait_outcome outcome_of(const pthread_rwlock_t *l, int err)
{
	if (err == ETIMEDOUT)
		return l->__data.__shared ? WAIT_ENDED : WAIT_GAVE_UP;
	if (err != 0)
		return WAIT_NONE;
	return l->__data.__shared ? WAIT_UNSEEN : WAIT_ENDED;
}

/*
 * The first word, since glibc 2.25.  WRITE_PHASE: a writer has the lock, or was the
 * last to have it.  WRITER: one has it or is the next.  From bit 3 on readers are
 * counted.
 */
#define WRITE_PHASE  1U
#define WRITER	     2U
#define READER_SHIFT 3

/* What keeps a reader out, and what a writer. */
#define TO_READ	 (WRITE_PHASE | WRITER)
#define TO_WRITE (~WRITE_PHASE)

static unsigned readers(const pthread_rwlock_t *l)
{
	return __atomic_load_n(&l->__data.__readers, __ATOMIC_RELAXED);
}

/* Nobody is in the way.  The first reader after a writer cannot be sure, and tries. */
static bool is_free(const pthread_rwlock_t *l, unsigned what)
{
	return !((readers(l) | locks_rwlock_unknown) & what);
}

/* X(what keeps it out, which try-lock, name, parameters, arguments, whether the deadline is one to
 * try with) */
#define RWLOCKS(X)                                                                                 \
	X(TO_READ, tryrdlock, rdlock, (pthread_rwlock_t * l), (l), true)                           \
	X(TO_WRITE, trywrlock, wrlock, (pthread_rwlock_t * l), (l), true)                          \
	X(TO_READ, tryrdlock, timedrdlock, (pthread_rwlock_t * l, const struct timespec *until),   \
	  (l, until), is_plain_deadline(CLOCK_REALTIME, until))                                    \
	X(TO_WRITE, trywrlock, timedwrlock, (pthread_rwlock_t * l, const struct timespec *until),  \
	  (l, until), is_plain_deadline(CLOCK_REALTIME, until))                                    \
	X(TO_READ, tryrdlock, clockrdlock,                                                         \
	  (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until),                   \
	  (l, clock, until), is_plain_deadline(clock, until))                                      \
	X(TO_WRITE, trywrlock, clockwrlock,                                                        \
	  (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until),                   \
	  (l, clock, until), is_plain_deadline(clock, until))

#define X(what, try, name, parameters, arguments, is_plain)                                        \
	static OUR_FRAME COLD int contended_##name parameters                                      \
	{                                                                                          \
		struct lock_wait w;                                                                \
		int err;                                                                           \
                                                                                                   \
		if (locks_stop_if_off())                                                           \
			return next_lock.pthread_rwlock_##name arguments;                          \
		wait_begin(&w, l);                                                                 \
		err = next_lock.pthread_rwlock_##name arguments;                                   \
		wait_end(&w, outcome_of(l, err), PSEUDO_CALL_pthread_rwlock_##name, &CALLER());    \
		return err;                                                                        \
	}                                                                                          \
                                                                                                   \
	EXPORT OUR_FRAME int pthread_rwlock_##name parameters                                      \
	{                                                                                          \
		int err;                                                                           \
                                                                                                   \
		if (LIKELY(is_free(l, what)) || !locks_on || !(is_plain))                          \
			return next_lock.pthread_rwlock_##name arguments;                          \
		err = next_lock.pthread_rwlock_##try(l);                                           \
		return LIKELY(err != EBUSY) ? err : contended_##name arguments;                    \
	}
RWLOCKS(X)
#undef X

/* ---- unlock */

/* A reader that leaves others behind keeps nobody waiting: they do. */
static bool releases(const pthread_rwlock_t *l)
{
	unsigned now = readers(l);

	return locks_rwlock_unknown || now & WRITE_PHASE || now >> READER_SHIFT <= 1;
}

static OUR_FRAME COLD int blamed_unlock(pthread_rwlock_t *l)
{
	struct unlock u = { 0 };
	int err;

	if (!locks_stop_if_off() && releases(l))
		u = unlock_begin(l, NULL);
	err = next_lock.pthread_rwlock_unlock(l);
	if (unlock_tells(&u) && err == 0)
		unlock_end(&u, PSEUDO_CALL_pthread_rwlock_unlock, &CALLER());
	return err;
}

EXPORT OUR_FRAME int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	if (LIKELY(!waiters_maybe(l)))
		return next_lock.pthread_rwlock_unlock(l);
	return blamed_unlock(l);
}
