/*
 * Waits for locks and queues that are the kernel's: of files, System V and POSIX.  None can
 * be tried first (to try flock() or a semaphore changes it), so they are only timed;
 * what returns at once has hardly waited, and refusals are not counted.  Most are
 * cancellation points: see lock_condition.c.
 */
#include <fcntl.h>

#include "sampler/arch/arch.h"
#include "shim/hooks/locks.h"
#include "shim/real/real.h"

/* Interrupted or late, it has waited all the same. */
static enum wait_outcome outcome_of(long result)
{
	return result >= 0 || errno == EINTR || errno == ETIMEDOUT ? WAIT_ENDED : WAIT_NONE;
}

/* semtimedop() says EAGAIN for "at once" and for "too late". */
static enum wait_outcome outcome_of_semtimedop(int result, const struct timespec *limit)
{
	return result < 0 && errno == EAGAIN && limit && (limit->tv_sec || limit->tv_nsec)
		       ? WAIT_ENDED
		       : outcome_of(result);
}

/* X(name, leaf, type, parameters, arguments, whether it may wait, what it came to) */
#define KERNEL_WAITS(X)                                                                            \
	X(flock, flock, int, (int fd, int operation), (fd, operation),                             \
	  !(operation & (LOCK_NB | LOCK_UN)), outcome_of(result))                                  \
	X(lockf, lockf, int, (int fd, int cmd, off_t len), (fd, cmd, len), cmd == F_LOCK,          \
	  outcome_of(result))                                                                      \
	X(lockf64, lockf, int, (int fd, int cmd, off64_t len), (fd, cmd, len), cmd == F_LOCK,      \
	  outcome_of(result))                                                                      \
	X(semop, semop, int, (int id, struct sembuf *ops, size_t count), (id, ops, count), true,   \
	  outcome_of(result))                                                                      \
	X(semtimedop, semtimedop, int,                                                             \
	  (int id, struct sembuf *ops, size_t count, const struct timespec *limit),                \
	  (id, ops, count, limit), true, outcome_of_semtimedop(result, limit))                     \
	X(msgsnd, msgsnd, int, (int id, const void *message, size_t size, int flags),              \
	  (id, message, size, flags), !(flags & IPC_NOWAIT), outcome_of(result))                   \
	X(msgrcv, msgrcv, ssize_t, (int id, void *message, size_t size, long type, int flags),     \
	  (id, message, size, type, flags), !(flags & IPC_NOWAIT), outcome_of(result))             \
	X(mq_receive, mq_receive, ssize_t,                                                         \
	  (mqd_t queue, char *message, size_t size, unsigned *priority),                           \
	  (queue, message, size, priority), true, outcome_of(result))                              \
	X(mq_timedreceive, mq_timedreceive, ssize_t,                                               \
	  (mqd_t queue, char *message, size_t size, unsigned *priority,                            \
	   const struct timespec *until),                                                          \
	  (queue, message, size, priority, until), true, outcome_of(result))                       \
	X(mq_send, mq_send, int,                                                                   \
	  (mqd_t queue, const char *message, size_t size, unsigned priority),                      \
	  (queue, message, size, priority), true, outcome_of(result))                              \
	X(mq_timedsend, mq_timedsend, int,                                                         \
	  (mqd_t queue, const char *message, size_t size, unsigned priority,                       \
	   const struct timespec *until),                                                          \
	  (queue, message, size, priority, until), true, outcome_of(result))

#define X(name, leaf, type, parameters, arguments, may_wait, outcome)                              \
	EXPORT OUR_FRAME type name parameters                                                      \
	{                                                                                          \
		struct lock_wait w;                                                                \
		type result;                                                                       \
                                                                                                   \
		if (!(may_wait) || !block_is_on() || locks_stop_if_off())                          \
			return next_lock.name arguments;                                           \
		wait_begin(&w, NULL);                                                              \
		result = next_lock.name arguments;                                                 \
		wait_end(&w, outcome, PSEUDO_CALL_##leaf, &CALLER());                              \
		return result;                                                                     \
	}
KERNEL_WAITS(X)
#undef X

/* ---- locks of parts of files */

typedef int (*fcntl_function)(int fd, int cmd, ...);

static bool may_wait(int cmd)
{
	return cmd == F_SETLKW || cmd == F_OFD_SETLKW;
}

static OUR_FRAME COLD int lock_file(fcntl_function next, int fd, int cmd, void *lock,
				    const struct frame_regs *caller)
{
	struct lock_wait w;
	int result;

	if (!block_is_on() || locks_stop_if_off())
		return next(fd, cmd, lock);
	wait_begin(&w, NULL);
	result = next(fd, cmd, lock);
	wait_end(&w, outcome_of(result), PSEUDO_CALL_fcntl, caller);
	return result;
}

/* As libc does: whatever the argument is, it comes as a pointer would. */
#define FCNTL(name, next)                                                                          \
	EXPORT int hook_##name(int fd, int cmd, void *argument) ARCH_AS_VARIADIC(#name);           \
	OUR_FRAME int hook_##name(int fd, int cmd, void *argument)                                 \
	{                                                                                          \
		if (UNLIKELY(may_wait(cmd)))                                                       \
			return lock_file(next, fd, cmd, argument, &CALLER());                      \
		return (next)(fd, cmd, argument);                                                  \
	}

FCNTL(fcntl, real()->fcntl)
/* Came with glibc 2.28; before, programs do not know it. */
FCNTL(fcntl64, real()->fcntl64 ? real()->fcntl64 : real()->fcntl)
