/*
 * The hooks on everything a thread can wait at.  Each exported function is a
 * jump through a pointer: to the next definition when nobody wants to know, to
 * the watching twin (lock_*.c) when block or mutex profiles are on.
 *
 * A function that the machine's libc lacks can still be found in us by name; it
 * looks for the real one again and, if there is none, answers that the clock or
 * the object is not supported (EINVAL, thrd_error).
 */
#ifndef SHIM_LOCKS_H
#define SHIM_LOCKS_H

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <threads.h>
#include <time.h>

#include "sampler/contention.h"
#include "sampler/waiters.h"
#include "shim/cc.h"

/* What a function does, and so who wants it watched. */
enum lock_role {
	LOCK_TAKES,    /* takes a lock: block and mutex */
	LOCK_RELEASES, /* mutex */
	LOCK_WAITS,    /* block */
	LOCK_SWAPS,    /* waits with a lock given up: block and mutex */
};

/* X(name, return type, parameters, arguments, role, what the watching twin calls too, answer when
 * absent) */
#define LOCK_FUNCTIONS(X)                                                                          \
	X(pthread_mutex_lock, int, (pthread_mutex_t * m), (m), LOCK_TAKES, pthread_mutex_trylock,  \
	  EINVAL)                                                                                  \
	X(pthread_mutex_timedlock, int, (pthread_mutex_t * m, const struct timespec *until),       \
	  (m, until), LOCK_TAKES, pthread_mutex_trylock, EINVAL)                                   \
	X(pthread_mutex_clocklock, int,                                                            \
	  (pthread_mutex_t * m, clockid_t clock, const struct timespec *until), (m, clock, until), \
	  LOCK_TAKES, pthread_mutex_trylock, EINVAL)                                               \
	X(pthread_mutex_unlock, int, (pthread_mutex_t * m), (m), LOCK_RELEASES,                    \
	  pthread_mutex_unlock, EINVAL)                                                            \
	X(pthread_rwlock_rdlock, int, (pthread_rwlock_t * l), (l), LOCK_TAKES,                     \
	  pthread_rwlock_tryrdlock, EINVAL)                                                        \
	X(pthread_rwlock_timedrdlock, int, (pthread_rwlock_t * l, const struct timespec *until),   \
	  (l, until), LOCK_TAKES, pthread_rwlock_tryrdlock, EINVAL)                                \
	X(pthread_rwlock_clockrdlock, int,                                                         \
	  (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until),                   \
	  (l, clock, until), LOCK_TAKES, pthread_rwlock_tryrdlock, EINVAL)                         \
	X(pthread_rwlock_wrlock, int, (pthread_rwlock_t * l), (l), LOCK_TAKES,                     \
	  pthread_rwlock_trywrlock, EINVAL)                                                        \
	X(pthread_rwlock_timedwrlock, int, (pthread_rwlock_t * l, const struct timespec *until),   \
	  (l, until), LOCK_TAKES, pthread_rwlock_trywrlock, EINVAL)                                \
	X(pthread_rwlock_clockwrlock, int,                                                         \
	  (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until),                   \
	  (l, clock, until), LOCK_TAKES, pthread_rwlock_trywrlock, EINVAL)                         \
	X(pthread_rwlock_unlock, int, (pthread_rwlock_t * l), (l), LOCK_RELEASES,                  \
	  pthread_rwlock_unlock, EINVAL)                                                           \
	X(pthread_cond_wait, int, (pthread_cond_t * c, pthread_mutex_t * m), (c, m), LOCK_SWAPS,   \
	  pthread_cond_wait, EINVAL)                                                               \
	X(pthread_cond_timedwait, int,                                                             \
	  (pthread_cond_t * c, pthread_mutex_t * m, const struct timespec *until), (c, m, until),  \
	  LOCK_SWAPS, pthread_cond_timedwait, EINVAL)                                              \
	X(pthread_cond_clockwait, int,                                                             \
	  (pthread_cond_t * c, pthread_mutex_t * m, clockid_t clock,                               \
	   const struct timespec *until),                                                          \
	  (c, m, clock, until), LOCK_SWAPS, pthread_cond_clockwait, EINVAL)                        \
	X(sem_wait, int, (sem_t * s), (s), LOCK_WAITS, sem_trywait, locks_no_semaphore())          \
	X(sem_timedwait, int, (sem_t * s, const struct timespec *until), (s, until), LOCK_WAITS,   \
	  sem_trywait, locks_no_semaphore())                                                       \
	X(sem_clockwait, int, (sem_t * s, clockid_t clock, const struct timespec *until),          \
	  (s, clock, until), LOCK_WAITS, sem_trywait, locks_no_semaphore())                        \
	X(pthread_barrier_wait, int, (pthread_barrier_t * b), (b), LOCK_WAITS,                     \
	  pthread_barrier_wait, EINVAL)                                                            \
	X(pthread_join, int, (pthread_t thread, void **result), (thread, result), LOCK_WAITS,      \
	  pthread_tryjoin_np, EINVAL)                                                              \
	X(pthread_timedjoin_np, int,                                                               \
	  (pthread_t thread, void **result, const struct timespec *until),                         \
	  (thread, result, until), LOCK_WAITS, pthread_tryjoin_np, EINVAL)                         \
	X(pthread_clockjoin_np, int,                                                               \
	  (pthread_t thread, void **result, clockid_t clock, const struct timespec *until),        \
	  (thread, result, clock, until), LOCK_WAITS, pthread_tryjoin_np, EINVAL)                  \
	X(mtx_lock, int, (mtx_t * m), (m), LOCK_TAKES, mtx_trylock, thrd_error)                    \
	X(mtx_timedlock, int, (mtx_t * m, const struct timespec *until), (m, until), LOCK_TAKES,   \
	  mtx_trylock, thrd_error)                                                                 \
	X(mtx_unlock, int, (mtx_t * m), (m), LOCK_RELEASES, mtx_unlock, thrd_error)                \
	X(cnd_wait, int, (cnd_t * c, mtx_t * m), (c, m), LOCK_SWAPS, cnd_wait, thrd_error)         \
	X(cnd_timedwait, int, (cnd_t * c, mtx_t * m, const struct timespec *until), (c, m, until), \
	  LOCK_SWAPS, cnd_timedwait, thrd_error)                                                   \
	X(thrd_join, int, (thrd_t thread, int *result), (thread, result), LOCK_WAITS,              \
	  pthread_tryjoin_np, thrd_error)

/* Not hooked, but called by the twins.  X(name, return type, parameters) */
#define LOCK_HELPERS(X)                                                                            \
	X(pthread_mutex_trylock, int, (pthread_mutex_t *))                                         \
	X(pthread_rwlock_tryrdlock, int, (pthread_rwlock_t *))                                     \
	X(pthread_rwlock_trywrlock, int, (pthread_rwlock_t *))                                     \
	X(sem_trywait, int, (sem_t *))                                                             \
	X(pthread_testcancel, void, (void))                                                        \
	X(pthread_tryjoin_np, int, (pthread_t, void **))                                           \
	X(mtx_trylock, int, (mtx_t *))

/* The next definitions; NULL: this libc has none. */
struct lock_functions {
#define X(name, type, parameters, ...) type(*name) parameters;
	LOCK_FUNCTIONS(X)
	LOCK_HELPERS(X)
#undef X
};

extern struct lock_functions next_lock __attribute__((visibility("hidden")));

/* The watching twins.  Context: hook. */
#define X(name, type, parameters, ...) type watched_##name parameters;
LOCK_FUNCTIONS(X)
#undef X

/*
 * Watches for these profiles from now on; with neither, every hook is a jump.
 * Context: init.
 */
void locks_watch(bool block, bool mutex);

/* In a forked child, and while our thread is away, hooks become jumps.  True then.  Context: hook.
 */
bool locks_left_behind(void);

/* That is over: life_is_child() is false again.  Context: listener. */
void locks_watch_again(void);

/* Unlocking gives the mutex up, and not only one of several levels.  Context: hook, its owner. */
bool lock_mutex_releases(const pthread_mutex_t *m);

/*
 * The function that called the hook this stands in: it jumped to us, so our
 * return address is its.
 */
#define CALLER()                                                                                   \
	((struct frame_regs){ .pc = (uint64_t)__builtin_return_address(0),                         \
			      .sp = (uint64_t)__builtin_frame_address(0) + 16,                     \
			      .bp = *(const uint64_t *)__builtin_frame_address(0) })

/*
 * A deadline that a timed call would not refuse before it looks at the lock.  All
 * others are left to the real function: it knows what to say.
 */
static inline bool is_plain_deadline(clockid_t clock, const struct timespec *until)
{
	return until && until->tv_nsec >= 0 && until->tv_nsec < 1000000000 &&
	       (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC);
}

#endif
