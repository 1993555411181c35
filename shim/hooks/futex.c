/*
 * Futexes through libc's syscall(): how Rust's standard library, GLib, parking_lot, absl and
 * C++20's atomics wait.  The door is in syscall() in shim/arch, which looks itself
 * whether waits are recorded.
 *
 * A futex is a word and nothing more: whether it is a lock, a condition or a count is known
 * to the program alone.  Two kinds show themselves.  With priority inheritance the kernel
 * keeps the owner.  And a lock's waiter waits while the word is not 0; who gives it back
 * sets 0, and then wakes it: so one that wakes others at a word that is 0 is charged with
 * what they waited.  An event's word goes from 0 to something, a condition's counts on.  In
 * the lock that most libraries have (0 free, 1 taken, 2 taken and waited for) another
 * thread may be there first: who waited while the word was 2 and is woken while it is 1
 * or 2 waited for a lock, too.
 */
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "shim/hooks/locks.h"
#include "shim/real/real.h"

/* Not in every header. */
#define SYS_FUTEX_WAITV	    449
#define FUTEX_LOCK_PI2_LATE 13

/* What comes to syscall(). */
#define CALL_PARAMETERS                                                                            \
	long number, long word, long operation, long value, long timeout, long word2, long value3
#define CALL_ARGUMENTS number, word, operation, value, timeout, word2, value3

long pprofshim_futex(CALL_PARAMETERS);

/* In line: a frame of ours that waits would be seen. */
#define CALL_KERNEL() real()->syscall(CALL_ARGUMENTS)

/* ---- what it waits for */

/* As a lock's address: the word's, which is a multiple of 4, and one of these. */
enum guise { GUISE_NONE, GUISE_LOCK, GUISE_LOCK_OF_3, GUISE_INHERITING };

#define TAKEN_AND_WAITED_FOR 2

static const void *lock_of(long word, enum guise guise)
{
	return guise ? (const void *)(word | guise) : NULL;
}

static enum guise guise_of_value(uint32_t value)
{
	if (value == 0 || value == UINT32_MAX) /* of parked threads in Rust */
		return GUISE_NONE;
	return value == TAKEN_AND_WAITED_FOR ? GUISE_LOCK_OF_3 : GUISE_LOCK;
}

static enum guise guise_of_wait(long number, long operation, long value)
{
	if (number == SYS_FUTEX_WAITV)
		return GUISE_NONE;
	switch (operation & FUTEX_CMD_MASK) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2_LATE:
		return GUISE_INHERITING;
	case FUTEX_WAIT_REQUEUE_PI:
		return GUISE_NONE;
	default:
		return guise_of_value((uint32_t)value);
	}
}

static uint64_t leaf_of_wait(long number, enum guise guise)
{
	if (number == SYS_FUTEX_WAITV)
		return PSEUDO_CALL_futex_waitv;
	return guise == GUISE_INHERITING ? PSEUDO_CALL_futex_lock_pi : PSEUDO_CALL_futex_wait;
}

/* ---- waits */

/* A word that had changed already (EAGAIN) was not waited for. */
static bool has_waited(long result)
{
	return result >= 0 || errno == ETIMEDOUT || errno == EINTR;
}

static enum wait_outcome outcome_of(long result, enum guise guise)
{
	if (!has_waited(result))
		return WAIT_NONE;
	return result < 0 && guise == GUISE_INHERITING ? WAIT_GAVE_UP : WAIT_ENDED;
}

static OUR_FRAME long wait_at(CALL_PARAMETERS)
{
	enum guise guise = guise_of_wait(number, operation, value);
	struct lock_wait w;
	long result;

	if (locks_stop_if_off())
		return CALL_KERNEL();
	wait_begin(&w, lock_of(word, guise));
	result = CALL_KERNEL();
	if (guise == GUISE_NONE && result >= 0)
		counter_add(COUNTER_MUTEX_FUTEX_WAITS_UNKNOWN, 1);
	wait_end(&w, outcome_of(result, guise), leaf_of_wait(number, guise), &CALLER());
	return result;
}

/* ---- wakes */

/* Asks the kernel, which minds no address: who wakes others need not own the word any more. */
static NOINLINE bool word_is(long word, long private, uint32_t value)
{
	return sys_call6(SYS_futex, word, FUTEX_CMP_REQUEUE | private, 0, 0, word, value) == 0;
}

/* What the wake tells: that of a lock which shows itself in the word, or nothing. */
static NOINLINE struct unlock look_and_begin(long word, long private)
{
	bool is_free = word_is(word, private, 0);
	struct unlock u = { 0 };

	if (is_free || word_is(word, private, 1) || word_is(word, private, 2))
		u = unlock_begin(lock_of(word, GUISE_LOCK_OF_3), NULL);
	if (is_free && !unlock_tells(&u))
		u = unlock_begin(lock_of(word, GUISE_LOCK), NULL);
	return u;
}

static bool gives_back(long operation)
{
	return (operation & FUTEX_CMD_MASK) == FUTEX_UNLOCK_PI;
}

/* The filter has one entry for all guises of a word. */
static struct unlock begin_wake(long word, long operation)
{
	if (!waiters_maybe(lock_of(word, GUISE_LOCK)) || locks_stop_if_off())
		return (struct unlock){ 0 };
	if (gives_back(operation))
		return unlock_begin(lock_of(word, GUISE_INHERITING), NULL);
	return sandbox_is_noted() ? (struct unlock){ 0 }
				  : look_and_begin(word, operation & FUTEX_PRIVATE_FLAG);
}

static OUR_FRAME long wake_at(CALL_PARAMETERS)
{
	struct unlock u = begin_wake(word, operation);
	long result = CALL_KERNEL();

	if (unlock_tells(&u) && result >= 0)
		unlock_end(&u,
			   gives_back(operation) ? PSEUDO_CALL_futex_unlock_pi
						 : PSEUDO_CALL_futex_wake,
			   &CALLER());
	return result;
}

/* ---- the door */

/*
 * syscall() in shim/arch jumps here, with the registers as they came; and so it goes on: no
 * frame stays but that of the one which calls the kernel.
 */
OUR_FRAME long pprofshim_futex(CALL_PARAMETERS)
{
	if (number == SYS_FUTEX_WAITV)
		return wait_at(CALL_ARGUMENTS);
	switch (operation & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_REQUEUE_PI:
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2_LATE:
		return wait_at(CALL_ARGUMENTS);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
	case FUTEX_UNLOCK_PI:
		return wake_at(CALL_ARGUMENTS);
	default:
		return CALL_KERNEL();
	}
}
