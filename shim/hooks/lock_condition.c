/*
 * Condition waits: timed from the call to its return, with the mutex's way back in
 * between.  They are cancellation points.  A cancelled call never comes back to us, so
 * nothing is raised while it is under way: all that a wait knows lies in its own stack
 * frame.  Such waits are not counted.
 */
#include <stddef.h>

#include "shim/hooks/locks.h"

/* A condition wait unlocks its mutex: that unlock is charged to the caller of the wait. */
static void give_mutex_up(const pthread_mutex_t *m, uint64_t leaf, struct frame_regs caller)
{
	struct waiters_due due;

	if (LIKELY(!waiters_maybe(m)) || !lock_mutex_releases(m))
		return;
	due = unlock_begin(m);
	if (due.delay_ns)
		unlock_end(due, leaf, caller);
}

#define CONDITION(name, parameters, arguments, timed_out, mutex)                                   \
	EXPORT OUR_FRAME int name parameters                                                       \
	{                                                                                          \
		struct lock_wait w;                                                                \
		int err;                                                                           \
                                                                                                   \
		if (!locks_on || locks_stop_if_off())                                              \
			return next_lock.name arguments;                                           \
		give_mutex_up(mutex, PSEUDO_CALL_##name, CALLER());                                \
		wait_begin(&w, NULL);                                                              \
		err = next_lock.name arguments;                                                    \
		wait_end(&w, err == 0 || err == (timed_out), PSEUDO_CALL_##name, CALLER());        \
		return err;                                                                        \
	}

CONDITION(pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), (c, m), 0, m)
CONDITION(pthread_cond_timedwait,
	  (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *until), (c, m, until),
	  ETIMEDOUT, m)
CONDITION(pthread_cond_clockwait,
	  (pthread_cond_t * c, pthread_mutex_t *m, clockid_t clock, const struct timespec *until),
	  (c, m, clock, until), ETIMEDOUT, m)
/* glibc's mtx_t is a pthread_mutex_t by another name. */
CONDITION(cnd_wait, (cnd_t * c, mtx_t *m), (c, m), 0, (const pthread_mutex_t *)m)
CONDITION(cnd_timedwait, (cnd_t * c, mtx_t *m, const struct timespec *until), (c, m, until),
	  thrd_timedout, (const pthread_mutex_t *)m)
