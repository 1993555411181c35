/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * The hooks on everything a thread can wait at.  With block and mutex profiles
 * off each is a test and a jump to the next definition; else its body (lock_*.c)
 * asks first whether there is anything to wait for.
 *
 * A function that the machine's libc lacks can still be found in us by name; it
 * looks for the real one again and, if there is none, answers that the clock or
 * the object is not supported (EINVAL, thrd_error).
 *
 * docs/PROTOCOLS.md, "Locks on and off", says when they record.
 */
#ifndef SHIM_HOOKS_LOCKS_H
#define SHIM_HOOKS_LOCKS_H

#include <errno.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/locks/contention.h"
#include "sampler/locks/waiters.h"
#include "sampler/unwind/hook_walk.h"

/* X(name, return type, parameters, arguments, answer when there is none) */
#define LOCK_FUNCTIONS(X)                                                                          \
	X(pthread_mutex_lock, int, (pthread_mutex_t * m), (m), EINVAL)                             \
	X(pthread_mutex_timedlock, int, (pthread_mutex_t * m, const struct timespec *until),       \
	  (m, until), EINVAL)                                                                      \
	X(pthread_mutex_clocklock, int,                                                            \
	  (pthread_mutex_t * m, clockid_t clock, const struct timespec *until), (m, clock, until), \
	  EINVAL)                                                                                  \
	X(pthread_mutex_unlock, int, (pthread_mutex_t * m), (m), EINVAL)                           \
	X(pthread_rwlock_rdlock, int, (pthread_rwlock_t * l), (l), EINVAL)                         \
	X(pthread_rwlock_timedrdlock, int, (pthread_rwlock_t * l, const struct timespec *until),   \
	  (l, until), EINVAL)                                                                      \
	X(pthread_rwlock_clockrdlock, int,                                                         \
	  (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until),                   \
	  (l, clock, until), EINVAL)                                                               \
	X(pthread_rwlock_wrlock, int, (pthread_rwlock_t * l), (l), EINVAL)                         \
	X(pthread_rwlock_timedwrlock, int, (pthread_rwlock_t * l, const struct timespec *until),   \
	  (l, until), EINVAL)                                                                      \
	X(pthread_rwlock_clockwrlock, int,                                                         \
	  (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until),                   \
	  (l, clock, until), EINVAL)                                                               \
	X(pthread_rwlock_unlock, int, (pthread_rwlock_t * l), (l), EINVAL)                         \
	X(pthread_cond_wait, int, (pthread_cond_t * c, pthread_mutex_t * m), (c, m), EINVAL)       \
	X(pthread_cond_timedwait, int,                                                             \
	  (pthread_cond_t * c, pthread_mutex_t * m, const struct timespec *until), (c, m, until),  \
	  EINVAL)                                                                                  \
	X(pthread_cond_signal, int, (pthread_cond_t * c), (c), EINVAL)                             \
	X(pthread_cond_broadcast, int, (pthread_cond_t * c), (c), EINVAL)                          \
	X(pthread_cond_clockwait, int,                                                             \
	  (pthread_cond_t * c, pthread_mutex_t * m, clockid_t clock,                               \
	   const struct timespec *until),                                                          \
	  (c, m, clock, until), EINVAL)                                                            \
	X(sem_wait, int, (sem_t * s), (s), locks_no_semaphore())                                   \
	X(sem_timedwait, int, (sem_t * s, const struct timespec *until), (s, until),               \
	  locks_no_semaphore())                                                                    \
	X(sem_clockwait, int, (sem_t * s, clockid_t clock, const struct timespec *until),          \
	  (s, clock, until), locks_no_semaphore())                                                 \
	X(pthread_barrier_wait, int, (pthread_barrier_t * b), (b), EINVAL)                         \
	X(pthread_join, int, (pthread_t thread, void **result), (thread, result), EINVAL)          \
	X(pthread_timedjoin_np, int,                                                               \
	  (pthread_t thread, void **result, const struct timespec *until),                         \
	  (thread, result, until), EINVAL)                                                         \
	X(pthread_clockjoin_np, int,                                                               \
	  (pthread_t thread, void **result, clockid_t clock, const struct timespec *until),        \
	  (thread, result, clock, until), EINVAL)                                                  \
	X(mtx_lock, int, (mtx_t * m), (m), thrd_error)                                             \
	X(mtx_timedlock, int, (mtx_t * m, const struct timespec *until), (m, until), thrd_error)   \
	X(mtx_unlock, int, (mtx_t * m), (m), thrd_error)                                           \
	X(cnd_signal, int, (cnd_t * c), (c), thrd_error)                                           \
	X(cnd_broadcast, int, (cnd_t * c), (c), thrd_error)                                        \
	X(cnd_wait, int, (cnd_t * c, mtx_t * m), (c, m), thrd_error)                               \
	X(cnd_timedwait, int, (cnd_t * c, mtx_t * m, const struct timespec *until), (c, m, until), \
	  thrd_error)                                                                              \
	X(thrd_join, int, (thrd_t thread, int *result), (thread, result), thrd_error)              \
	X(pthread_once, int, (pthread_once_t * once, void (*init)(void)), (once, init), EINVAL)    \
	X(call_once, void, (once_flag * once, void (*init)(void)), (once, init), (void)0)          \
	X(flock, int, (int fd, int operation), (fd, operation), locks_no_call())                   \
	X(lockf, int, (int fd, int cmd, off_t len), (fd, cmd, len), locks_no_call())               \
	X(lockf64, int, (int fd, int cmd, off64_t len), (fd, cmd, len), locks_no_call())           \
	X(semop, int, (int id, struct sembuf *ops, size_t count), (id, ops, count),                \
	  locks_no_call())                                                                         \
	X(semtimedop, int,                                                                         \
	  (int id, struct sembuf *ops, size_t count, const struct timespec *limit),                \
	  (id, ops, count, limit), locks_no_call())                                                \
	X(msgsnd, int, (int id, const void *message, size_t size, int flags),                      \
	  (id, message, size, flags), locks_no_call())                                             \
	X(msgrcv, ssize_t, (int id, void *message, size_t size, long type, int flags),             \
	  (id, message, size, type, flags), locks_no_call())                                       \
	X(mq_receive, ssize_t, (mqd_t queue, char *message, size_t size, unsigned *priority),      \
	  (queue, message, size, priority), locks_no_call())                                       \
	X(mq_timedreceive, ssize_t,                                                                \
	  (mqd_t queue, char *message, size_t size, unsigned *priority,                            \
	   const struct timespec *until),                                                          \
	  (queue, message, size, priority, until), locks_no_call())                                \
	X(mq_send, int, (mqd_t queue, const char *message, size_t size, unsigned priority),        \
	  (queue, message, size, priority), locks_no_call())                                       \
	X(mq_timedsend, int,                                                                       \
	  (mqd_t queue, const char *message, size_t size, unsigned priority,                       \
	   const struct timespec *until),                                                          \
	  (queue, message, size, priority, until), locks_no_call())                                \
	X(pthread_mutexattr_setpshared, int, (pthread_mutexattr_t * attr, int shared),             \
	  (attr, shared), EINVAL)                                                                  \
	X(pthread_rwlockattr_setpshared, int, (pthread_rwlockattr_t * attr, int shared),           \
	  (attr, shared), EINVAL)

/* Not hooked, but called by hooks.  X(name, return type, parameters, answer when there is none) */
#define LOCK_HELPERS(X)                                                                            \
	X(pthread_mutex_trylock, int, (pthread_mutex_t * m), ((void)m, EBUSY))                     \
	X(pthread_rwlock_tryrdlock, int, (pthread_rwlock_t * l), ((void)l, EBUSY))                 \
	X(pthread_rwlock_trywrlock, int, (pthread_rwlock_t * l), ((void)l, EBUSY))                 \
	X(pthread_tryjoin_np, int, (pthread_t thread, void **result),                              \
	  ((void)thread, (void)result, EBUSY))                                                     \
	X(mtx_trylock, int, (mtx_t * m), ((void)m, thrd_busy))

/* The next definitions.  Each can be called, whatever this libc has. */
struct lock_functions {
#define X(name, type, parameters, ...) type(*name) parameters;
	LOCK_FUNCTIONS(X)
	LOCK_HELPERS(X)
#undef X
};

extern struct lock_functions next_lock __attribute__((visibility("hidden")));

/*
 * Which profiles the lock hooks record for: LOCKS_BLOCK, LOCKS_MUTEX or both; 0: none.
 * Read by syscall() in shim/arch too.
 */
#define LOCKS_BLOCK 1U
#define LOCKS_MUTEX 2U
extern unsigned locks_on __attribute__((visibility("hidden")));

/* Are waits that are no lock's (conditions, semaphores, joins) recorded?  Context: hook. */
static inline bool block_is_on(void)
{
	return locks_on & LOCKS_BLOCK;
}

/* All bits are set if this libc is older than the rwlocks that we know; else 0. */
extern unsigned locks_rwlock_unknown __attribute__((visibility("hidden")));

/*
 * The lock hooks record for these profiles from now on.  `put_before` (NULL: nothing) puts
 * other functions before those of the table, each time that it was filled in; not called
 * for a libc whose rwlocks we do not know.  Context: init.
 */
void locks_turn_on(unsigned what, void (*put_before)(void));

/*
 * Every lock hook asks this before it times a wait: is recording off in this process
 * now (a forked child, or our thread is away)?  Then it is switched off for the next
 * hooks too, which need not ask.  Returns whether it is off.  Context: hook.
 */
bool locks_stop_if_off(void);

/* Switches it on as before: process_is_ours() is true again.  Context: listener, hook. */
void locks_turn_on_again(void);

/*
 * The calling thread's id, as libc writes it into a mutex: a system call for it may be
 * what a filter of the program kills for.  0 from a libc without threads.  Context: hook.
 */
int locks_own_tid(void);

/*
 * Nobody has it: its first word is 0 in every kind of mutex, part of what programs
 * are compiled with.  Context: hook, about to lock it.
 */
static inline bool lock_is_free(const pthread_mutex_t *m)
{
	return __atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) == 0;
}

/* Other processes may have it.  Context: hook. */
static inline bool lock_mutex_is_shared(const pthread_mutex_t *m)
{
	return m->__data.__kind & 0x80;
}

/*
 * A mutex that is held has 1 in its first word until somebody goes to sleep for it.  (Those
 * with priority inheritance or ceiling and robust ones have other numbers always.)  Context:
 * hook, its owner.
 */
static inline bool lock_has_no_sleeper(const pthread_mutex_t *m)
{
	return __atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) == 1;
}

/* Unlocking gives the mutex up, and not only one of several levels.  Context: hook, its owner. */
bool lock_mutex_releases(const pthread_mutex_t *m);

/* unlock_begin() if that has anything to do.  Context: hook, its owner. */
struct unlock lock_mutex_unlock_begin(const pthread_mutex_t *m);

/*
 * A deadline that a timed call would not refuse before it looks at the lock.  All
 * others are left to the real function: it knows what to say.  (With priority
 * inheritance it asks the kernel, which refuses times before 1970 even where the
 * owner has died.)
 */
static inline bool is_plain_deadline(clockid_t clock, const struct timespec *until)
{
	return until && until->tv_sec >= 0 && until->tv_nsec >= 0 && until->tv_nsec < 1000000000 &&
	       (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC);
}

#endif
