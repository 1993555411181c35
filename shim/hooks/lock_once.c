/*
 * Waits for what another thread does once.  Who does it itself is jumped to libc; who
 * finds it under way waits.  (Who comes in the instant in which another one begins is
 * not seen.)
 */
#include "shim/hooks/locks.h"

/* In both kinds of word, with nptl since glibc 2.17; the number of forks is above. */
#define UNDER_WAY 1
#define DONE	  2

static bool is_under_way(const int *word)
{
	return (__atomic_load_n(word, __ATOMIC_RELAXED) & (UNDER_WAY | DONE)) == UNDER_WAY;
}

static OUR_FRAME COLD int wait_for_once(pthread_once_t *once, void (*init)(void))
{
	struct lock_wait w;
	int err;

	if (!block_is_on() || locks_stop_if_off())
		return next_lock.pthread_once(once, init);
	wait_begin(&w, NULL);
	err = next_lock.pthread_once(once, init);
	wait_end(&w, WAIT_ENDED, PSEUDO_CALL_pthread_once, CALLER());
	return err;
}

EXPORT OUR_FRAME int pthread_once(pthread_once_t *once, void (*init)(void))
{
	if (LIKELY(!is_under_way(once)))
		return next_lock.pthread_once(once, init);
	return wait_for_once(once, init);
}

static OUR_FRAME COLD void wait_for_call_once(once_flag *once, void (*init)(void))
{
	struct lock_wait w;

	if (!block_is_on() || locks_stop_if_off()) {
		next_lock.call_once(once, init);
		return;
	}
	wait_begin(&w, NULL);
	next_lock.call_once(once, init);
	wait_end(&w, WAIT_ENDED, PSEUDO_CALL_call_once, CALLER());
}

EXPORT OUR_FRAME void call_once(once_flag *once, void (*init)(void))
{
	if (LIKELY(!is_under_way(&once->__data)))
		next_lock.call_once(once, init);
	else
		wait_for_call_once(once, init);
}
