/* mtx_*, as pthread_mutex_*: glibc's are the same with other error numbers. */
#include "shim/locks.h"

static bool has_waited(int err)
{
	return err == thrd_success || err == thrd_timedout;
}

static OUR_FRAME COLD int contended_lock(mtx_t *m)
{
	struct wait w;
	int err;

	if (locks_left_behind())
		return next_lock.mtx_lock(m);
	wait_begins(&w, m);
	err = next_lock.mtx_lock(m);
	wait_ends(&w, has_waited(err), PSEUDO_CALL_mtx_lock, CALLER());
	return err;
}

OUR_FRAME int watched_mtx_lock(mtx_t *m)
{
	int err = next_lock.mtx_trylock(m);

	return LIKELY(err != thrd_busy) ? err : contended_lock(m);
}

static OUR_FRAME COLD int contended_timedlock(mtx_t *m, const struct timespec *until)
{
	struct wait w;
	int err;

	if (locks_left_behind())
		return next_lock.mtx_timedlock(m, until);
	wait_begins(&w, m);
	err = next_lock.mtx_timedlock(m, until);
	wait_ends(&w, has_waited(err), PSEUDO_CALL_mtx_timedlock, CALLER());
	return err;
}

OUR_FRAME int watched_mtx_timedlock(mtx_t *m, const struct timespec *until)
{
	int err = next_lock.mtx_trylock(m);

	return LIKELY(err != thrd_busy) ? err : contended_timedlock(m, until);
}

static OUR_FRAME COLD int blamed_unlock(mtx_t *m)
{
	int64_t delay = 0;
	int err;

	if (!locks_left_behind() && lock_mutex_releases((const pthread_mutex_t *)m))
		delay = unlock_begins(m);
	err = next_lock.mtx_unlock(m);
	if (delay && err == thrd_success)
		unlock_ends(delay, PSEUDO_CALL_mtx_unlock, CALLER());
	return err;
}

OUR_FRAME int watched_mtx_unlock(mtx_t *m)
{
	if (LIKELY(!waiters_maybe(m)))
		return next_lock.mtx_unlock(m);
	return blamed_unlock(m);
}
