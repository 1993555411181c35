/*
 * Waits for something that is no lock: conditions, semaphores, barriers, ends of
 * threads.  All but the barrier are cancellation points.  A cancelled call never
 * comes back to us, so nothing is raised while it is under way: all that a wait
 * knows lies in its own stack frame.  Such waits are not counted.
 */
#include <stddef.h>

#include "shim/hooks/locks.h"

static bool block_is_on(void)
{
	return locks_on & LOCKS_BLOCK;
}

/* A condition wait gives its mutex up; the unlock is its caller's. */
static void swap_begins(const pthread_mutex_t *m, uint64_t leaf, struct frame_regs caller)
{
	struct waiters_due due;

	if (LIKELY(!waiters_maybe(m)) || !lock_mutex_releases(m))
		return;
	due = unlock_begins(m);
	if (due.delay_ns)
		unlock_ends(due, leaf, caller);
}

#define CONDITION(name, parameters, arguments, timed_out, mutex)                                   \
	EXPORT OUR_FRAME int name parameters                                                       \
	{                                                                                          \
		struct lock_wait w;                                                                \
		int err;                                                                           \
                                                                                                   \
		if (!locks_on || locks_stop_if_off())                                              \
			return next_lock.name arguments;                                           \
		swap_begins(mutex, PSEUDO_CALL_##name, CALLER());                                  \
		wait_begins(&w, NULL);                                                             \
		err = next_lock.name arguments;                                                    \
		wait_ends(&w, err == 0 || err == (timed_out), PSEUDO_CALL_##name, CALLER());       \
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

/* ---- semaphores */

/* What it holds is in its first word; 0: there is nothing to take, so far. */
static bool is_empty(const sem_t *s)
{
	return __atomic_load_n((const unsigned *)s, __ATOMIC_RELAXED) == 0;
}

/* Interrupted or late, it has waited all the same. */
static bool has_waited(int result)
{
	return result == 0 || errno == ETIMEDOUT || errno == EINTR;
}

#define SEMAPHORE(name, parameters, arguments)                                                     \
	static OUR_FRAME COLD int empty_##name parameters                                          \
	{                                                                                          \
		struct lock_wait w;                                                                \
		int result;                                                                        \
                                                                                                   \
		if (!block_is_on() || locks_stop_if_off())                                         \
			return next_lock.name arguments;                                           \
		wait_begins(&w, NULL);                                                             \
		result = next_lock.name arguments;                                                 \
		wait_ends(&w, has_waited(result), PSEUDO_CALL_##name, CALLER());                   \
		return result;                                                                     \
	}                                                                                          \
                                                                                                   \
	EXPORT OUR_FRAME int name parameters                                                       \
	{                                                                                          \
		return LIKELY(!is_empty(s)) ? next_lock.name arguments : empty_##name arguments;   \
	}

SEMAPHORE(sem_wait, (sem_t * s), (s))
SEMAPHORE(sem_timedwait, (sem_t * s, const struct timespec *until), (s, until))
SEMAPHORE(sem_clockwait, (sem_t * s, clockid_t clock, const struct timespec *until),
	  (s, clock, until))

/* ---- barriers */

/* The last thread to arrive is told so: it has not waited. */
EXPORT OUR_FRAME int pthread_barrier_wait(pthread_barrier_t *b)
{
	struct lock_wait w;
	int err;

	if (!block_is_on() || locks_stop_if_off())
		return next_lock.pthread_barrier_wait(b);
	wait_begins(&w, NULL);
	err = next_lock.pthread_barrier_wait(b);
	wait_ends(&w, err == 0, PSEUDO_CALL_pthread_barrier_wait, CALLER());
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
		wait_begins(&w, NULL);                                                             \
		err = next_lock.name arguments;                                                    \
		wait_ends(&w, err == 0 || err == ETIMEDOUT, PSEUDO_CALL_##name, CALLER());         \
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
	wait_begins(&w, NULL);
	err = next_lock.thrd_join(thread, result);
	wait_ends(&w, err == thrd_success, PSEUDO_CALL_thrd_join, CALLER());
	return err;
}
