#include "shim/locks.h"

#include <stdatomic.h>
#include <stddef.h>

#include "shim/futex.h"
#include "shim/life.h"
#include "shim/lookup.h"

struct lock_functions next_lock;

#define WATCH_BLOCK 1U
#define WATCH_MUTEX 2U

static atomic_uint watch; /* nothing before the constructor has read the settings */

static int locks_no_semaphore(void)
{
	errno = EINVAL;
	return -1;
}

/*
 * Where each exported function jumps to.  At first to one that finds the real
 * ones, so that the way there need not ask whether we are ready.
 */
#define X(name, type, parameters, ...) static COLD type first_##name parameters;
LOCK_FUNCTIONS(X)
#undef X

static struct {
#define X(name, type, parameters, ...) type(*name) parameters;
	LOCK_FUNCTIONS(X)
#undef X
} entry = {
#define X(name, ...) .name = first_##name,
	LOCK_FUNCTIONS(X)
#undef X
};

static void find_all(void)
{
#define X(name, type, parameters, ...) next_lock.name = (type(*) parameters)lookup_next(#name);
	LOCK_FUNCTIONS(X)
	LOCK_HELPERS(X)
#undef X
}

static bool is_wanted(enum lock_role role, unsigned what)
{
	switch (role) {
	case LOCK_TAKES:
	case LOCK_SWAPS:
		return what != 0;
	case LOCK_RELEASES:
		return what & WATCH_MUTEX;
	case LOCK_WAITS:
		break;
	}
	return what & WATCH_BLOCK;
}

/* No real function: perhaps it was loaded since; where libpthread is a library of its own it may
 * be. */
static void aim(unsigned what);

#define X(name, type, parameters, arguments, role, helper, absent)                                 \
	static COLD type missing_##name parameters                                                 \
	{                                                                                          \
		find_all();                                                                        \
		aim(atomic_load(&watch));                                                          \
		return next_lock.name ? next_lock.name arguments : (type)(absent);                 \
	}
LOCK_FUNCTIONS(X)
#undef X

static void aim(unsigned what)
{
#define X(name, type, parameters, arguments, role, helper, absent)                                 \
	__atomic_store_n(&entry.name,                                                              \
			 !next_lock.name			     ? missing_##name              \
			 : is_wanted(role, what) && next_lock.helper ? watched_##name              \
								     : next_lock.name,             \
			 __ATOMIC_RELEASE);
	LOCK_FUNCTIONS(X)
#undef X
	futex_watch(what & WATCH_BLOCK);
}

/* Any thread may come first, and the constructor may change its mind meanwhile. */
static void start(void)
{
	unsigned what;

	find_all();
	do
		aim(what = atomic_load(&watch));
	while (what != atomic_load(&watch));
}

#define X(name, type, parameters, arguments, ...)                                                  \
	static COLD type first_##name parameters                                                   \
	{                                                                                          \
		start();                                                                           \
		return entry.name arguments;                                                       \
	}                                                                                          \
                                                                                                   \
	EXPORT type name parameters                                                                \
	{                                                                                          \
		return entry.name arguments;                                                       \
	}
LOCK_FUNCTIONS(X)
#undef X

void locks_watch(bool block, bool mutex)
{
	atomic_store(&watch, (block ? WATCH_BLOCK : 0) | (mutex ? WATCH_MUTEX : 0));
	start();
}

bool locks_left_behind(void)
{
	if (!life_is_child())
		return false;
	aim(0);
	if (!life_is_child()) /* over in this moment, and aimed before us */
		locks_watch_again();
	return true;
}

void locks_watch_again(void)
{
	aim(atomic_load(&watch));
}
