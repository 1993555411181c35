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

long pprofshim_futex(long number, long word, long operation, long value, long timeout, long word2,
		     long value3);

/* What comes to syscall(). */
struct call {
	long number, word, operation, value, timeout, word2, value3;
};

/* In line: a frame of ours that waits would be seen. */
static inline __attribute__((always_inline)) long call_kernel(const struct call *c)
{
	return real()->syscall(c->number, c->word, c->operation, c->value, c->timeout, c->word2,
			       c->value3);
}

/* ---- what it waits for */

/* As a lock's address: the word's, which is a multiple of 4, and one of these. */
enum guise { GUISE_NONE, GUISE_LOCK, GUISE_LOCK_OF_3, GUISE_INHERITING };

#define TAKEN_AND_WAITED_FOR 2

static const void *lock_of(long word, enum guise guise)
{
	return guise ? (const void *)(word | guise) : NULL;
}

static enum guise guise_of_wait(uint32_t value)
{
	if (value == 0 || value == UINT32_MAX) /* of parked threads in Rust */
		return GUISE_NONE;
	return value == TAKEN_AND_WAITED_FOR ? GUISE_LOCK_OF_3 : GUISE_LOCK;
}

/* ---- waits */

/* A word that had changed already (EAGAIN) was not waited for. */
static bool has_waited(long result)
{
	return result >= 0 || errno == ETIMEDOUT || errno == EINTR;
}

static NOINLINE OUR_FRAME long wait_at(const struct call *c, enum guise guise, uint64_t leaf,
				       const struct frame_regs *caller)
{
	bool may_owe = guise == GUISE_INHERITING;
	struct lock_wait w;
	long result;

	if (locks_stop_if_off())
		return call_kernel(c);
	wait_begin(&w, lock_of(c->word, guise));
	result = call_kernel(c);
	wait_end(&w,
		 !has_waited(result)	 ? WAIT_NONE
		 : result < 0 && may_owe ? WAIT_GAVE_UP
					 : WAIT_ENDED,
		 leaf, caller);
	if (guise == GUISE_NONE && result >= 0)
		counter_add(COUNTER_MUTEX_FUTEX_WAITS_UNKNOWN, 1);
	return result;
}

/* ---- wakes */

/* Asks the kernel, which minds no address: who wakes others need not own the word any more. */
static bool word_is(const struct call *c, uint32_t value)
{
	long private = c->operation & FUTEX_PRIVATE_FLAG;

	return sys_call6(SYS_futex, c->word, FUTEX_CMP_REQUEUE | private, 0, 0, c->word, value) ==
	       0;
}

/* What the wake tells: that of a lock which shows itself in the word, or nothing. */
static NOINLINE struct unlock begin_wake(const struct call *c)
{
	const void *lock = lock_of(c->word, GUISE_LOCK);
	const void *lock_of_3 = lock_of(c->word, GUISE_LOCK_OF_3);
	bool is_free = word_is(c, 0);
	struct unlock u = { 0 };

	if (is_free || word_is(c, 1) || word_is(c, 2))
		u = unlock_begin(lock_of_3, NULL);
	if (is_free && !unlock_tells(&u))
		u = unlock_begin(lock, NULL);
	return u;
}

/* The filter has one entry for all guises of a word. */
static bool has_waiters(long word)
{
	return waiters_maybe(lock_of(word, GUISE_LOCK)) && !locks_stop_if_off();
}

static NOINLINE OUR_FRAME long wake_at(const struct call *c, uint64_t leaf,
				       const struct frame_regs *caller)
{
	struct unlock u = { 0 };
	long result;

	if (has_waiters(c->word))
		u = leaf == PSEUDO_CALL_futex_unlock_pi
			    ? unlock_begin(lock_of(c->word, GUISE_INHERITING), NULL)
		    : sandbox_is_noted() ? u
					 : begin_wake(c);
	result = call_kernel(c);
	if (unlock_tells(&u) && result >= 0)
		unlock_end(&u, leaf, caller);
	return result;
}

/* ---- the door */

/* syscall() in shim/arch jumps here, with the registers as they came. */
OUR_FRAME long pprofshim_futex(long number, long word, long operation, long value, long timeout,
			       long word2, long value3)
{
	const struct frame_regs caller = CALLER();
	struct call c = { number, word, operation, value, timeout, word2, value3 };

	if (number == SYS_FUTEX_WAITV)
		return wait_at(&c, GUISE_NONE, PSEUDO_CALL_futex_waitv, &caller);
	switch (operation & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return wait_at(&c, guise_of_wait((uint32_t)value), PSEUDO_CALL_futex_wait, &caller);
	case FUTEX_WAIT_REQUEUE_PI:
		return wait_at(&c, GUISE_NONE, PSEUDO_CALL_futex_wait, &caller);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2_LATE:
		return wait_at(&c, GUISE_INHERITING, PSEUDO_CALL_futex_lock_pi, &caller);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		return wake_at(&c, PSEUDO_CALL_futex_wake, &caller);
	case FUTEX_UNLOCK_PI:
		return wake_at(&c, PSEUDO_CALL_futex_unlock_pi, &caller);
	default:
		return call_kernel(&c);
	}
}
