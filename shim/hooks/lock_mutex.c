/*
 * pthread_mutex_*.  One look whether the mutex is free; then the real function is
 * jumped to.  (Whoever takes the mutex between the look and the jump is not seen:
 * a few nanoseconds, but a try-lock each time costs a quarter of the pair.)
 *
 * If not, the real trylock: it does what the real lock would do at once, for every
 * kind of mutex, and only EBUSY means that somebody else has it.  (EBUSY is also
 * what an error-checking mutex of the caller's own says; then the real lock says
 * EDEADLK, and that was no wait.)  Then it spins for 0.3 us, see contention.h, and
 * the one real call, timed.
 */
#include "shim/hooks/early.h"
#include "shim/hooks/locks.h"

EARLY(next_lock, pthread_mutex_lock, int, (pthread_mutex_t * m), (m))
EARLY(next_lock, pthread_mutex_unlock, int, (pthread_mutex_t * m), (m))

/* What a wait for the mutex came to. */
static enum wait_outcome outcome_of(const pthread_mutex_t *m, int err)
{
	switch (err) {
	case 0:
		return lock_mutex_is_shared(m) ? WAIT_UNSEEN : WAIT_ENDED;
	case EOWNERDEAD:
		return WAIT_UNSEEN;
	case ETIMEDOUT:
		return lock_mutex_is_shared(m) ? WAIT_ENDED : WAIT_GAVE_UP;
	case ENOTRECOVERABLE:
		return WAIT_ENDED;
	default:
		return WAIT_NONE;
	}
}

/* What the try-lock said, EBUSY for as long as somebody else has it. */
static int spin_for_lock(pthread_mutex_t *m, struct lock_spin *s)
{
	int err = EBUSY;

	wait_spin_begin(s);
	while (err == EBUSY && wait_spin(s)) {
		if (lock_is_free(m))
			err = next_lock.pthread_mutex_trylock(m);
	}
	return err;
}

static OUR_FRAME COLD int contended_lock(pthread_mutex_t *m)
{
	struct lock_spin s;
	int err;

	if (locks_stop_if_off())
		return next_lock.pthread_mutex_lock(m);
	err = spin_for_lock(m, &s);
	if (err != EBUSY) {
		wait_spin_won(&s, PSEUDO_CALL_pthread_mutex_lock, &CALLER());
		return err;
	}
	wait_block_begin(&s.wait, m);
	err = next_lock.pthread_mutex_lock(m);
	wait_end(&s.wait, outcome_of(m, err), PSEUDO_CALL_pthread_mutex_lock, &CALLER());
	return err;
}

EXPORT OUR_FRAME int pthread_mutex_lock(pthread_mutex_t *m)
{
	int err;

	if (LIKELY(lock_is_free(m)) || !locks_on)
		return CALL_BOUND(next_lock, pthread_mutex_lock, (m));
	err = next_lock.pthread_mutex_trylock(m);
	return err != EBUSY ? err : contended_lock(m);
}

static OUR_FRAME COLD int contended_timedlock(pthread_mutex_t *m, const struct timespec *until)
{
	struct lock_wait w;
	int err;

	if (locks_stop_if_off())
		return next_lock.pthread_mutex_timedlock(m, until);
	wait_begin(&w, m);
	err = next_lock.pthread_mutex_timedlock(m, until);
	wait_end(&w, outcome_of(m, err), PSEUDO_CALL_pthread_mutex_timedlock, &CALLER());
	return err;
}

EXPORT OUR_FRAME int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *until)
{
	int err;

	if (LIKELY(lock_is_free(m)) || !locks_on || !is_plain_deadline(CLOCK_REALTIME, until))
		return next_lock.pthread_mutex_timedlock(m, until);
	err = next_lock.pthread_mutex_trylock(m);
	return err != EBUSY ? err : contended_timedlock(m, until);
}

static OUR_FRAME COLD int contended_clocklock(pthread_mutex_t *m, clockid_t clock,
					      const struct timespec *until)
{
	struct lock_wait w;
	int err;

	if (locks_stop_if_off())
		return next_lock.pthread_mutex_clocklock(m, clock, until);
	wait_begin(&w, m);
	err = next_lock.pthread_mutex_clocklock(m, clock, until);
	wait_end(&w, outcome_of(m, err), PSEUDO_CALL_pthread_mutex_clocklock, &CALLER());
	return err;
}

/* Priority inheritance knows one clock only; with another one even a free mutex is refused. */
static bool refuses_clock(const pthread_mutex_t *m, clockid_t clock)
{
	return clock != CLOCK_REALTIME && m->__data.__kind & 0x20;
}

EXPORT OUR_FRAME int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock,
					     const struct timespec *until)
{
	int err;

	if (LIKELY(lock_is_free(m)) || !locks_on || !is_plain_deadline(clock, until) ||
	    refuses_clock(m, clock))
		return next_lock.pthread_mutex_clocklock(m, clock, until);
	err = next_lock.pthread_mutex_trylock(m);
	return err != EBUSY ? err : contended_clocklock(m, clock, until);
}

/* ---- unlock */

bool lock_mutex_releases(const pthread_mutex_t *m)
{
	bool is_recursive = (m->__data.__kind & 3) == PTHREAD_MUTEX_RECURSIVE;

	return !is_recursive || m->__data.__count <= 1;
}

/* Whether somebody sleeps for it; in the first word of each kind of mutex. */
static bool has_sleeper(const pthread_mutex_t *m)
{
	int word = __atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED);

	if (m->__data.__kind & 0x30) /* robust, priority inheritance: as the kernel marks it */
		return word < 0;
	return m->__data.__kind & 0x40 ? (word & 3) == 2 : word == 2; /* priority ceiling above */
}

struct unlock lock_mutex_unlock_begin(const pthread_mutex_t *m)
{
	struct relock *r = locks_on && has_sleeper(m) ? relock_find(m) : NULL;

	if ((!r && !waiters_maybe(m)) || locks_stop_if_off() || !lock_mutex_releases(m))
		return (struct unlock){ 0 };
	return unlock_begin(m, r);
}

/* All that is read of the mutex is read before it is given away. */
static OUR_FRAME COLD int blamed_unlock(pthread_mutex_t *m)
{
	struct unlock u = lock_mutex_unlock_begin(m);
	int err = next_lock.pthread_mutex_unlock(m);

	if (unlock_tells(&u) && err == 0)
		unlock_end(&u, PSEUDO_CALL_pthread_mutex_unlock, &CALLER());
	return err;
}

EXPORT OUR_FRAME int pthread_mutex_unlock(pthread_mutex_t *m)
{
	if (LIKELY(lock_has_no_sleeper(m)))
		return CALL_BOUND(next_lock, pthread_mutex_unlock, (m));
	return blamed_unlock(m);
}
