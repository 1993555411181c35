/*
 * A program that shares locks with other processes: what those wait for each other is not
 * in mutex, and the profile says so.
 */
#include "sampler/base/counters.h"
#include "shim/hooks/locks.h"

static void note(int shared)
{
	if (shared == PTHREAD_PROCESS_SHARED && locks_on)
		counter_add(COUNTER_LOCKS_MADE_SHARED, 1);
}

EXPORT int pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int shared)
{
	note(shared);
	return next_lock.pthread_mutexattr_setpshared(attr, shared);
}

EXPORT int pthread_rwlockattr_setpshared(pthread_rwlockattr_t *attr, int shared)
{
	note(shared);
	return next_lock.pthread_rwlockattr_setpshared(attr, shared);
}
