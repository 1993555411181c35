/*
 * Waits for other threads: until all are at a barrier, or until one has ended.  A join
 * is a cancellation point, and leaves nothing behind: see lock_condition.c.
 */
#include <stddef.h>

#include "shim/hooks/locks.h"

/* The last thread to arrive is told so: it has not waited. */
EXPORT OUR_FRAME int pthread_barrier_wait(pthread_barrier_t *b)
{
	struct lock_wait w;
	int err;

	if (!block_is_on() || locks_stop_if_off())
		return next_lock.pthread_barrier_wait(b);
	wait_begin(&w, NULL);
	err = next_lock.pthread_barrier_wait(b);
	wait_end(&w, err == 0, PSEUDO_CALL_pthread_barrier_wait, &CALLER());
	return err;
}

/* ---- ends of threads */

#define JOIN(name, parameters, arguments)                                                          \
	EXPORT OUR_FRAME int name parameters                                                       \
	{                                                                                          \
		struct lock_wait w;                                                                \
		int err;                                                                           \
                                                                                                   \
		if (!block_is_on())                                                                \
			return next_lock.name arguments;                                           \
		err = next_lock.pthread_tryjoin_np(thread, result);                                \
		if (err != EBUSY)                                                                  \
			return err;                                                                \
		if (locks_stop_if_off())                                                           \
			return next_lock.name arguments;                                           \
		wait_begin(&w, NULL);                                                              \
		err = next_lock.name arguments;                                                    \
		wait_end(&w, err == 0 || err == ETIMEDOUT, PSEUDO_CALL_##name, &CALLER());         \
		return err;                                                                        \
	}

JOIN(pthread_join, (pthread_t thread, void **result), (thread, result))
JOIN(pthread_timedjoin_np, (pthread_t thread, void **result, const struct timespec *until),
     (thread, result, until))
JOIN(pthread_clockjoin_np,
     (pthread_t thread, void **result, clockid_t clock, const struct timespec *until),
     (thread, result, clock, until))

/* There is no try of this kind; what returns at once has hardly waited. */
EXPORT OUR_FRAME int thrd_join(thrd_t thread, int *result)
{
	struct lock_wait w;
	int err;

	if (!block_is_on() || locks_stop_if_off())
		return next_lock.thrd_join(thread, result);
	wait_begin(&w, NULL);
	err = next_lock.thrd_join(thread, result);
	wait_end(&w, err == thrd_success, PSEUDO_CALL_thrd_join, &CALLER());
	return err;
}
