/* mtx_*, as pthread_mutex_*: glibc's are the same with other error numbers. */
#include "shim/hooks/locks.h"

static enum wait_outcome outcome_of(int err)
{
	if (err == thrd_timedout)
		return WAIT_GAVE_UP;
	return err == thrd_success ? WAIT_ENDED : WAIT_NONE;
}

static int spin_for_lock(mtx_t *m, struct lock_spin *s)
{
	int err = thrd_busy;

	wait_spin_begin(s);
	while (err == thrd_busy && wait_spin(s)) {
		if (lock_is_free((const pthread_mutex_t *)m))
			err = next_lock.mtx_trylock(m);
	}
	return err;
}

static OUR_FRAME COLD int contended_lock(mtx_t *m)
{
	struct lock_spin s;
	int err;

	if (locks_stop_if_off())
		return next_lock.mtx_lock(m);
	err = spin_for_lock(m, &s);
	if (err != thrd_busy) {
		wait_spin_won(&s, PSEUDO_CALL_mtx_lock, &CALLER());
		return err;
	}
	wait_block_begin(&s.wait, m);
	err = next_lock.mtx_lock(m);
	wait_end(&s.wait, outcome_of(err), PSEUDO_CALL_mtx_lock, &CALLER());
	return err;
}

EXPORT OUR_FRAME int mtx_lock(mtx_t *m)
{
	int err;

	if (LIKELY(lock_is_free((const pthread_mutex_t *)m)) || !locks_on)
		return next_lock.mtx_lock(m);
	err = next_lock.mtx_trylock(m);
	return err != thrd_busy ? err : contended_lock(m);
}

static OUR_FRAME COLD int contended_timedlock(mtx_t *m, const struct timespec *until)
{
	struct lock_wait w;
	int err;

	if (locks_stop_if_off())
		return next_lock.mtx_timedlock(m, until);
	wait_begin(&w, m);
	err = next_lock.mtx_timedlock(m, until);
	wait_end(&w, outcome_of(err), PSEUDO_CALL_mtx_timedlock, &CALLER());
	return err;
}

EXPORT OUR_FRAME int mtx_timedlock(mtx_t *m, const struct timespec *until)
{
	int err;

	if (LIKELY(lock_is_free((const pthread_mutex_t *)m)) || !locks_on)
		return next_lock.mtx_timedlock(m, until);
	err = next_lock.mtx_trylock(m);
	return err != thrd_busy ? err : contended_timedlock(m, until);
}

static OUR_FRAME COLD int blamed_unlock(mtx_t *m)
{
	struct unlock u = lock_mutex_unlock_begin((const pthread_mutex_t *)m);
	int err = next_lock.mtx_unlock(m);

	if (unlock_tells(&u) && err == thrd_success)
		unlock_end(&u, PSEUDO_CALL_mtx_unlock, &CALLER());
	return err;
}

EXPORT OUR_FRAME int mtx_unlock(mtx_t *m)
{
	if (LIKELY(lock_has_no_sleeper((const pthread_mutex_t *)m)))
		return next_lock.mtx_unlock(m);
	return blamed_unlock(m);
}
