/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * Who waits at which lock, so that an unlock knows whom it has kept waiting.
 *
 * Only a thread that found a lock taken writes here.  An unlock looks at the
 * filter, which nearly always says "nobody"; when somebody may be there,
 * waiters_charge() tells how long all of them waited since the last charge.
 * So each moment of each wait is charged once, to the unlock that ended the hold
 * it was spent on.
 *
 * Locks are addresses here and nothing more: their memory is never read.
 *
 * Context: hook, where nothing else is said.
 */
#ifndef SAMPLER_LOCKS_WAITERS_H
#define SAMPLER_LOCKS_WAITERS_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/cc.h"

#define WAITERS_FILTER 4096 /* one entry for every 8 bytes of address, modulo 32 KiB */

extern uint64_t waiters_filter[WAITERS_FILTER] __attribute__((visibility("hidden")));

/* Bits 3 to 14 of the address are the entry's offset already: no shift in an unlock. */
static inline uint64_t *waiters_entry(const void *lock)
{
	uint64_t offset = (uint64_t)lock & (sizeof(waiters_filter) - sizeof(*waiters_filter));

	return (uint64_t *)((char *)waiters_filter + offset);
}

/* False: certainly nobody waits at `lock`. */
static inline bool waiters_maybe(const void *lock)
{
	return RACY_READ(*waiters_entry(lock)) != 0;
}

/* Where a waiter was noted. */
struct waiters_slot;

/*
 * The calling thread waits at `lock` since `start_ns`.  NULL when it could not
 * be noted (mutex_waiter_table_full).
 */
struct waiters_slot *waiters_add(const void *lock, int64_t start_ns);

/*
 * It waits no longer: it has the lock.  `slot` and `start_ns` are those of its
 * waiters_add().
 */
void waiters_remove(struct waiters_slot *slot, const void *lock, int64_t start_ns);

/*
 * It waits no longer, and has no lock: what it waited stays due, for the unlock that
 * ends the hold it was spent on.
 */
void waiters_give_up(struct waiters_slot *slot, const void *lock, int64_t start_ns, int64_t now_ns);

/*
 * In one look, without reading a clock that costs: whether what there is to be
 * charged at `lock` is worth it: about 25 us of it, whoever waits.  Less stays for a
 * later unlock, so nothing is lost, and an unlock is charged with a chance that
 * grows with how long the lock was held.
 */
bool waiters_worth_charging(const void *lock);

struct waiters_due {
	int64_t delay_ns; /* how long all waited, beyond what was charged before */
	uint64_t waits;	  /* how many waits have ended since; at least 1 */
};

/* Charges those who wait at `lock` until `now_ns`.  delay_ns 0: nobody does. */
struct waiters_due waiters_charge(const void *lock, int64_t now_ns);

/* Who waited was left behind.  While nobody is added.  Context: child. */
void waiters_after_fork(void);

/*
 * NULL, or what is wrong with slots and filter, in words.  While no hook is inside.
 * Context: tests.
 */
const char *waiters_check(void);

#endif
