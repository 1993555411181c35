/*
 * Waits for what another thread does once.  Who finds it done is jumped to libc, who
 * does it itself says so (for those who ask whom the others wait for), who finds it under way
 * waits.  (Who comes in the instant in which another one begins is taken for one that does it;
 * the other one has said so, too.)
 */
#include "sampler/locks/once.h"
#include "shim/hooks/early.h"
#include "shim/hooks/locks.h"

EARLY(next_lock, pthread_once, int, (pthread_once_t * once, void (*init)(void)), (once, init))
EARLY(next_lock, call_once, void, (once_flag * once, void (*init)(void)), (once, init))

/* In both kinds of word, with nptl since glibc 2.17; the number of forks is above. */
#define UNDER_WAY 1
#define DONE	  2

static int state(const int *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) & (UNDER_WAY | DONE);
}

static bool is_recorded(const int *word)
{
	return !(state(word) & DONE) && locks_on && !locks_stop_if_off();
}

/* Returns whether somebody else does it. */
static bool is_waited_for(const int *word)
{
	if (state(word) == UNDER_WAY)
		return true;
	once_begins(word, locks_own_tid());
	return false;
}

static OUR_FRAME COLD int watched_once(pthread_once_t *once, void (*init)(void))
{
	bool waits = is_waited_for(once);
	struct lock_wait w;
	int err;

	if (waits)
		wait_begin(&w, NULL);
	err = next_lock.pthread_once(once, init);
	if (waits)
		wait_end(&w, WAIT_ENDED, PSEUDO_CALL_pthread_once, &CALLER());
	else
		once_ends(once);
	return err;
}

EXPORT OUR_FRAME int pthread_once(pthread_once_t *once, void (*init)(void))
{
	if (LIKELY(!is_recorded(once)))
		return CALL_BOUND(next_lock, pthread_once, (once, init));
	return watched_once(once, init);
}

static OUR_FRAME COLD void watched_call_once(once_flag *once, void (*init)(void))
{
	bool waits = is_waited_for(&once->__data);
	struct lock_wait w;

	if (waits)
		wait_begin(&w, NULL);
	next_lock.call_once(once, init);
	if (waits)
		wait_end(&w, WAIT_ENDED, PSEUDO_CALL_call_once, &CALLER());
	else
		once_ends(once);
}

EXPORT OUR_FRAME void call_once(once_flag *once, void (*init)(void))
{
	if (LIKELY(!is_recorded(&once->__data)))
		CALL_BOUND(next_lock, call_once, (once, init));
	else
		watched_call_once(once, init);
}
