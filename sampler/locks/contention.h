/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * The block profile (who waits, and how long) and the mutex profile (whose
 * unlock ended the waits of others); the hooks are in shim/hooks/lock_*.c.
 *
 * Whether a wait is recorded is decided when it ends, by its length: with
 * probability p = min(1, waited / rate), and then it counts as 1/p waits of its
 * length.  So the estimates of count and delay are unbiased, a long wait is never
 * missed, and the cost follows the time lost and not the number of waits.
 */
#ifndef SAMPLER_LOCKS_CONTENTION_H
#define SAMPLER_LOCKS_CONTENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/locks/relocks.h"
#include "sampler/locks/waiters.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/other_sites.h"
#include "sampler/unwind/stacks.h"

#define BLOCK_RATE_DEFAULT     100000 /* ns */
#define BLOCK_RATE_MAX	       100000000000
#define MUTEX_FRACTION_DEFAULT 10
#define MUTEX_FRACTION_MAX     1000000

/* value[] of the stacks of both profiles. */
enum contention_value { CONTENTION_VALUE_COUNT, CONTENTION_VALUE_NS };

/* A wait under way; lives on the waiting thread's stack, as the next two do. */
struct lock_wait {
	int64_t start_ns;
	const void *lock;
	struct waiters_slot *slot;
};

/* Of which no unlock is charged with the whole. */
struct condition_wait {
	int64_t start_ns;
	struct relock *relock;
};

struct lock_spin {
	struct lock_wait wait;
	int64_t now_ns;		   /* of the last look */
	uint64_t coin, coin_sides; /* drawn before the spin: see wait_spin_won() */
};

/*
 * Before the real wait the hook spins for 0.3 us: about what a futex call takes that finds
 * the lock free after all.  Until then it writes nothing that other threads read, which
 * would cost them more than such a wait takes.  While everything is recorded
 * wait_spin() says no at once.
 *
 *	wait_spin_begin(&spin);
 *	while (wait_spin(&spin))
 *		if (it is ours now)
 *			return wait_spin_won(&spin, leaf, caller);
 *	wait_block_begin(&spin.wait, lock);
 *
 * Context: hook.
 */
void wait_spin_begin(struct lock_spin *s);
bool wait_spin(struct lock_spin *s);

/* The lock was taken while spinning.  No unlock is charged with it (mutex_waits_brief). */
void wait_spin_won(const struct lock_spin *s, uint64_t leaf, const struct frame_regs *caller);

/* Spinning was in vain: as wait_begin(), from the moment of wait_spin_begin(). */
void wait_block_begin(struct lock_wait *w, const void *lock);

/* `lock`: whose unlock is to answer for the wait; NULL: nobody's.  Context: hook. */
void wait_begin(struct lock_wait *w, const void *lock);

enum wait_outcome {
	WAIT_NONE,    /* the thread has not waited after all */
	WAIT_ENDED,   /* it has what it waited for */
	WAIT_GAVE_UP, /* its time was over: it has waited for whoever holds the lock still */
	WAIT_UNSEEN,  /* it has the lock, and perhaps from somebody whose unlock we do not see */
};

/* It is over.  `leaf` (PSEUDO_CALL) was called by `caller`.  Context: hook. */
void wait_end(const struct lock_wait *w, enum wait_outcome outcome, uint64_t leaf,
	      const struct frame_regs *caller);

/*
 * A wait at a condition, which ends when the thread has its mutex again: what it waited for
 * that is charged to those who had it, before its end.
 * `late_ns` is how long ago its time was over, if it was; else -1.
 */
void wait_condition_begin(struct condition_wait *w, const void *mutex);
void wait_condition_charge(const struct condition_wait *w, const void *condition, const void *mutex,
			   int64_t late_ns);
void wait_condition_end(const struct condition_wait *w, enum wait_outcome outcome, uint64_t leaf,
			const struct frame_regs *caller);

/* `condition` is about to be signalled, or broadcast to `all`.  Context: hook. */
void condition_wakes(const void *condition, bool all);

/* What an unlock has to tell, between its begin and end; lives on the stack. */
struct unlock {
	struct waiters_due due;
	struct relock_hold *hold;
	int64_t now_ns;
};

/*
 * `lock` is about to be unlocked, and somebody may wait for it: what it has cost those
 * who wait.  `r`: relock_find() of it where somebody is seen to wait, or NULL.  Context:
 * hook, the thread that holds it.
 */
struct unlock unlock_begin(const void *lock, struct relock *r);

static inline bool unlock_tells(const struct unlock *u)
{
	return u->due.delay_ns || u->hold;
}

/* It has been, and had something to tell.  `lock` itself may be gone by now.  Context: hook. */
void unlock_end(const struct unlock *u, uint64_t leaf, const struct frame_regs *caller);

/*
 * Block: ns; waits of this length and longer are all recorded.  Mutex: one in so
 * many is, and all of 10 ms and longer.  1: everything; 0: off.  Context: init.
 */
void block_set_rate(uint64_t ns);
void mutex_set_fraction(uint64_t one_in);

/* What was recorded is dropped.  Context: init, while no hook is in force. */
void contention_begin_anew(void);

/* Context: any role. */
uint64_t block_rate(void);
uint64_t mutex_fraction(void);

/* By how much the rate is coarser now, because too much is recorded; 1: not at all. */
uint64_t block_coarser(void);
uint64_t mutex_coarser(void);

/* From begins to ends everything is recorded; calls nest.  Context: listener. */
void block_everything_begin(void);
void block_everything_end(void);
void mutex_everything_begin(void);
void mutex_everything_end(void);

/*
 * Nobody waits, no client asks for everything, and what was counted before is the parent's.
 * Context: listener of a child, before anything is recorded there.
 */
void contention_after_fork(void);

/*
 * Fills `t` with the totals of every site; `own`: without what the process has from its parent.
 * Context: listener.
 */
void block_snapshot(struct stack_table *t, bool own);
void mutex_snapshot(struct stack_table *t, bool own);

/* The same of another process: what it has counted since it had a listener of its own. */
extern const struct other_sites_kind block_of_other, mutex_of_other;

#endif
