#include "shim/hooks/locks.h"

#include <stdatomic.h>
#include <stddef.h>

#include "shim/hooks/futex.h"
#include "shim/life/life.h"
#include "shim/real/late.h"

unsigned locks_watched; /* nobody, before the constructor has read the settings */

unsigned locks_rwlock_unknown;

static unsigned wanted; /* what is watched when we are not left behind */

static int locks_no_semaphore(void)
{
	errno = EINVAL;
	return -1;
}

/*
 * Each starts as a function that finds the real ones and then calls its own, so
 * that nobody need ask whether we are ready.
 */
#define X(name, type, parameters, ...) static COLD type first_##name parameters;
LOCK_FUNCTIONS(X)
#undef X

struct lock_functions next_lock = {
#define X(name, ...) .name = first_##name,
	LOCK_FUNCTIONS(X)
#undef X
};

static void find_all(void);

#define X(...) LATE_MISSING(next_lock, find_all, __VA_ARGS__)
LOCK_FUNCTIONS(X)
#undef X

#define X(name, type, parameters, absent)                                                          \
	static COLD type missing_##name parameters                                                 \
	{                                                                                          \
		return absent;                                                                     \
	}
LOCK_HELPERS(X)
#undef X

static void find_all(void){
#define X(name, type, parameters, ...) LATE_FIND(next_lock, name, type, parameters)
	LOCK_FUNCTIONS(X) LOCK_HELPERS(X)
#undef X
}

#define X(name, type, parameters, arguments, ...)                                                  \
	static COLD type first_##name parameters                                                   \
	{                                                                                          \
		find_all();                                                                        \
		return next_lock.name arguments;                                                   \
	}
LOCK_FUNCTIONS(X)
#undef X

	/* A libc whose threads are not there yet cannot be asked whether a lock is taken. */
	static bool can_watch(void)
{
	return next_lock.pthread_mutex_trylock != missing_pthread_mutex_trylock;
}

/* The youngest of their functions (glibc 2.30) is younger than what they look like now (2.25). */
static bool is_rwlock_known(void)
{
	return next_lock.pthread_rwlock_clockrdlock != missing_pthread_rwlock_clockrdlock;
}

static void set_watched(unsigned what)
{
	__atomic_store_n(&locks_watched, what, __ATOMIC_RELEASE);
	futex_watch(what & LOCKS_BLOCK);
}

void locks_watch(unsigned what)
{
	find_all();
	locks_rwlock_unknown = is_rwlock_known() ? 0 : ~0U;
	wanted = can_watch() ? what : 0;
	set_watched(wanted);
}

bool locks_left_behind(void)
{
	if (!life_is_child())
		return false;
	set_watched(0);
	if (!life_is_child()) /* over in this moment, and set before us */
		locks_watch_again();
	return true;
}

void locks_watch_again(void)
{
	set_watched(wanted);
}
