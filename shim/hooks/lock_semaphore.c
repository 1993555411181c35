/*
 * Semaphore waits: a semaphore that has something to take is left to libc after one
 * look.  Cancellation leaves nothing behind: see lock_condition.c.
 */
#include <stddef.h>

#include "shim/hooks/locks.h"

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
		wait_begin(&w, NULL);                                                              \
		result = next_lock.name arguments;                                                 \
		wait_end(&w, has_waited(result), PSEUDO_CALL_##name, &CALLER());                   \
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
