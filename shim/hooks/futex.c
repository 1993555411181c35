/*
 * Futex waits through libc's syscall(): how Rust's standard library, parking_lot
 * and C++20's atomics wait.  The door is in syscall() in shim/arch, which looks itself
 * whether waits are recorded.
 */
#include <linux/futex.h>
#include <stddef.h>

#include "shim/hooks/locks.h"
#include "shim/real/real.h"

long pprofshim_futex(long number, long word, long operation, long value, long timeout, long word2,
		     long value3);

/* A word that had changed already (EAGAIN) was not waited for. */
static bool has_waited(long result)
{
	return result == 0 || errno == ETIMEDOUT || errno == EINTR;
}

static uint64_t leaf_of(long operation)
{
	return (operation & FUTEX_CMD_MASK) == FUTEX_LOCK_PI ? PSEUDO_CALL_futex_lock_pi
							     : PSEUDO_CALL_futex_wait;
}

/* syscall() in shim/arch jumps here for what waits, with the registers as they came. */
OUR_FRAME long pprofshim_futex(long number, long word, long operation, long value, long timeout,
			       long word2, long value3)
{
	long (*next)(long, ...) = real()->syscall;
	struct lock_wait w;
	long result;

	if (locks_stop_if_off())
		return next(number, word, operation, value, timeout, word2, value3);
	wait_begin(&w, NULL);
	result = next(number, word, operation, value, timeout, word2, value3);
	wait_end(&w, has_waited(result), leaf_of(operation), CALLER());
	return result;
}
