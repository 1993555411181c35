#include "shim/hooks/locks.h"

#include <stdatomic.h>
#include <stddef.h>

#include "sampler/base/debug.h"
#include "sampler/base/process_state.h"
#include "shim/real/next.h"

unsigned locks_on; /* for none, before the constructor has read the settings */

unsigned locks_rwlock_unknown;

static unsigned on_outside_children; /* what locks_on is while process_is_ours() */

static int locks_no_semaphore(void)
{
	errno = EINVAL;
	return -1;
}

static int locks_no_call(void)
{
	errno = ENOSYS;
	return -1;
}

#define X(name, type, parameters, ...) static COLD type first_##name parameters;
LOCK_FUNCTIONS(X)
#undef X

struct lock_functions next_lock = {
#define X(name, ...) .name = first_##name,
	LOCK_FUNCTIONS(X)
#undef X
};

static void find_all(void);

#define X(...) NEXT_MISSING(next_lock, find_all, __VA_ARGS__)
LOCK_FUNCTIONS(X)
#undef X

#define X(name, type, parameters, absent)                                                          \
	static COLD type missing_##name parameters                                                 \
	{                                                                                          \
		return absent;                                                                     \
	}
LOCK_HELPERS(X)
#undef X

static void (*put_before_table)(void);

static void find_all(void)
{
#define X(name, type, parameters, ...) NEXT_FIND_LATE(next_lock, name, type, parameters)
	LOCK_FUNCTIONS(X)
	LOCK_HELPERS(X)
#undef X
	if (put_before_table)
		put_before_table();
}

#define X(name, type, parameters, arguments, ...)                                                  \
	NEXT_FIRST(next_lock, find_all, name, type, parameters, arguments)
LOCK_FUNCTIONS(X)
#undef X

/* A libc whose threads are not there yet cannot be asked whether a lock is taken. */
static bool can_be_tried(void)
{
	return next_lock.pthread_mutex_trylock != missing_pthread_mutex_trylock;
}

/*
 * pthread_rwlock_clockrdlock exists only since glibc 2.30, and the layout that we read
 * since 2.25: if the function is there, the layout is right.
 */
static bool is_rwlock_known(void)
{
	return next_lock.pthread_rwlock_clockrdlock != missing_pthread_rwlock_clockrdlock;
}

static void set_on(unsigned what)
{
	DEBUG_EVENT("locks on", locks_on, what, 0);
	__atomic_store_n(&locks_on, what, __ATOMIC_RELEASE);
}

void locks_turn_on(unsigned what, void (*put_before)(void))
{
	find_all();
	locks_rwlock_unknown = is_rwlock_known() ? 0 : ~0U;
	if (put_before && !locks_rwlock_unknown) {
		put_before_table = put_before;
		put_before();
	}
	on_outside_children = can_be_tried() ? what : 0;
	set_on(on_outside_children);
}

bool locks_stop_if_off(void)
{
	if (process_is_ours())
		return false;
	set_on(0);
	/* the listener may have turned them on between our question and our store: ask again */
	if (process_is_ours())
		locks_turn_on_again();
	return true;
}

void locks_turn_on_again(void)
{
	set_on(on_outside_children);
}

/* A recursive one, because in others libc may leave the owner out. */
int locks_own_tid(void)
{
	pthread_mutex_t m = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	int tid;

	next_lock.pthread_mutex_lock(&m);
	tid = m.__data.__owner;
	next_lock.pthread_mutex_unlock(&m);
	return tid;
}
