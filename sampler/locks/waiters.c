/*
 * One slot for each lock that somebody waits at.  All about its waiters is in 16
 * bytes that change at once: how many there are, how many have gone, a base time,
 * and the sum of their starts relative to the base.  So a lock with a thousand waiters costs an
 * unlock no more than one with a single waiter, and no thread ever waits for
 * another one here.
 *
 * A slot without waiters keeps its address and may be given to another lock; who
 * takes it over marks it BUSY meanwhile.  Every change of hands changes the base
 * time, so a thread that read slot and address before and swaps after fails.
 * docs/PROTOCOLS.md, "Waiters", has the states.
 */
#include "sampler/locks/waiters.h"

#include <stddef.h>
#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/debug.h"
#include "sampler/base/monotonic.h"

#define SLOTS  1024
#define WINDOW 8 /* slots that a lock may be in */

/* struct state.packed: sum of (start - base) in units of 16 ns, gone, waiters. */
#define COUNT_BITS 16
#define GONE_BITS  10
#define UNIT_NS	   16
#define BUSY	   0xffffU /* in place of the number of waiters */
#define GONE_MAX   ((1U << GONE_BITS) - 1)
#define SUM_MAX	   (UINT64_MAX >> (COUNT_BITS + GONE_BITS)) /* 73 minutes of waiting */

struct state {
	uint64_t base_ns; /* last charge, or first arrival after the slot was empty */
	uint64_t packed;
} __attribute__((aligned(16)));

struct waiters_slot {
	struct state state;
	uint64_t base_cycles; /* base_ns by the processor's clock; only a hint */
	const void *lock;
} __attribute__((aligned(64)));

uint64_t waiters_filter[WAITERS_FILTER];

static struct waiters_slot slots[SLOTS];

/* ---- 16 bytes at once */

/* True when *s was *seen and is now `to`; else *seen is what it is. */
static bool swap(struct state *s, struct state *seen, struct state to)
{
	return arch_swap16(s, &seen->base_ns, &seen->packed, to.base_ns, to.packed);
}

/* Perhaps torn; then the swap that follows fails and says what is there. */
static struct state peek(const struct state *s)
{
	return (struct state){ __atomic_load_n(&s->base_ns, __ATOMIC_ACQUIRE),
			       __atomic_load_n(&s->packed, __ATOMIC_ACQUIRE) };
}

static unsigned count_of(struct state s)
{
	return s.packed & BUSY;
}

static unsigned gone_of(struct state s)
{
	return s.packed >> COUNT_BITS & GONE_MAX;
}

static uint64_t sum_of(struct state s)
{
	return s.packed >> (COUNT_BITS + GONE_BITS);
}

static struct state pack(uint64_t base_ns, unsigned count, unsigned gone, uint64_t sum)
{
	return (struct state){ base_ns, MIN(sum, SUM_MAX) << (COUNT_BITS + GONE_BITS) |
						MIN(gone, GONE_MAX) << COUNT_BITS | count };
}

/* What a waiter that started then adds to the sum. */
static uint64_t since_base(struct state s, int64_t start_ns)
{
	return (uint64_t)start_ns > s.base_ns ? ((uint64_t)start_ns - s.base_ns) / UNIT_NS : 0;
}

static void set_base_cycles(struct waiters_slot *slot)
{
	__atomic_store_n(&slot->base_cycles, monotonic_cycles(), __ATOMIC_RELAXED);
}

/* ---- slots */

static struct waiters_slot *slot_at(const void *lock, unsigned k)
{
	uint64_t home = (uint64_t)lock * 0x9e3779b97f4a7c15ULL >> 40;

	return &slots[(home + k) % SLOTS];
}

static bool is_of(const struct waiters_slot *slot, const void *lock)
{
	return __atomic_load_n(&slot->lock, __ATOMIC_ACQUIRE) == lock;
}

/* The filter counts slots with waiters: what a crowd has in common changes once. */
static void first_arrived(struct waiters_slot *slot, const void *lock)
{
	set_base_cycles(slot);
	__atomic_fetch_add(waiters_entry(lock), 1, __ATOMIC_RELAXED);
}

static void last_left(const void *lock)
{
	__atomic_fetch_sub(waiters_entry(lock), 1, __ATOMIC_RELAXED);
}

/* One more at a slot that has this lock already. */
static bool join(struct waiters_slot *slot, const void *lock, int64_t start_ns)
{
	struct state seen = peek(&slot->state), to;

	do {
		unsigned n = count_of(seen);

		if (!is_of(slot, lock) || n >= BUSY - 1)
			return false;
		to = n ? pack(seen.base_ns, n + 1, gone_of(seen),
			      sum_of(seen) + since_base(seen, start_ns))
		       : pack((uint64_t)start_ns, 1, 0, 0);
	} while (!swap(&slot->state, &seen, to));
	if (count_of(to) == 1)
		first_arrived(slot, lock);
	return true;
}

/* The first at a slot that nobody waits at. */
static bool take_over(struct waiters_slot *slot, const void *lock, int64_t start_ns)
{
	struct state seen = peek(&slot->state), busy;

	if (count_of(seen) != 0)
		return false;
	busy = pack(seen.base_ns, BUSY, 0, 0);
	if (!swap(&slot->state, &seen, busy))
		return false;
	__atomic_store_n(&slot->lock, lock, __ATOMIC_RELEASE);
	while (!swap(&slot->state, &busy, pack((uint64_t)start_ns, 1, 0, 0)))
		; /* nobody changes a busy slot: once is enough */
	first_arrived(slot, lock);
	return true;
}

static struct waiters_slot *find_slot(const void *lock, int64_t start_ns)
{
	for (unsigned k = 0; k < WINDOW; k++) {
		struct waiters_slot *slot = slot_at(lock, k);

		if (is_of(slot, lock) && join(slot, lock, start_ns))
			return slot;
	}
	for (unsigned k = 0; k < WINDOW; k++) {
		struct waiters_slot *slot = slot_at(lock, k);

		if (take_over(slot, lock, start_ns))
			return slot;
	}
	return NULL;
}

struct waiters_slot *waiters_add(const void *lock, int64_t start_ns)
{
	struct waiters_slot *slot = find_slot(lock, start_ns);

	if (!slot)
		counter_add(COUNTER_MUTEX_WAITER_TABLE_FULL, 1);
	return slot;
}

void waiters_remove(struct waiters_slot *slot, const void *lock, int64_t start_ns)
{
	struct state seen = peek(&slot->state), to;

	do {
		uint64_t sum = sum_of(seen), mine = since_base(seen, start_ns);

		ASSERT(count_of(seen) != 0 && count_of(seen) != BUSY);
		to = pack(seen.base_ns, count_of(seen) - 1, gone_of(seen) + 1,
			  sum > mine ? sum - mine : 0);
	} while (!swap(&slot->state, &seen, to));
	if (count_of(to) == 0)
		last_left(lock);
}

static bool has_waiters(const struct waiters_slot *slot)
{
	return (__atomic_load_n(&slot->state.packed, __ATOMIC_RELAXED) & BUSY) != 0;
}

static bool is_old(const struct waiters_slot *slot)
{
	uint64_t base = __atomic_load_n(&slot->base_cycles, __ATOMIC_RELAXED);

	return monotonic_cycles() - base >= ARCH_CYCLES_25_US;
}

bool waiters_worth_charging(const void *lock)
{
	for (unsigned k = 0; k < WINDOW; k++) {
		const struct waiters_slot *slot = slot_at(lock, k);

		if (is_of(slot, lock))
			return has_waiters(slot) && is_old(slot);
	}
	return false;
}

static struct waiters_due charge(struct waiters_slot *slot, const void *lock, int64_t now_ns)
{
	struct state seen = peek(&slot->state);
	uint64_t due;

	do {
		unsigned n = count_of(seen);

		if (!is_of(slot, lock) || n == 0 || n == BUSY || (uint64_t)now_ns <= seen.base_ns)
			return (struct waiters_due){ 0 };
		due = n * ((uint64_t)now_ns - seen.base_ns);
		due -= MIN(due, sum_of(seen) * UNIT_NS);
	} while (!swap(&slot->state, &seen, pack((uint64_t)now_ns, count_of(seen), 0, 0)));
	set_base_cycles(slot);
	return (struct waiters_due){ (int64_t)due, MAX(gone_of(seen), 1) };
}

/* Two threads that came first at once may have taken a slot each. */
struct waiters_due waiters_charge(const void *lock, int64_t now_ns)
{
	struct waiters_due all = { 0 };

	for (unsigned k = 0; k < WINDOW; k++) {
		struct waiters_slot *slot = slot_at(lock, k);

		if (is_of(slot, lock)) {
			struct waiters_due due = charge(slot, lock, now_ns);

			all.delay_ns += due.delay_ns;
			all.waits += due.waits;
		}
	}
	return all;
}

void waiters_after_fork(void)
{
	memset(waiters_filter, 0, sizeof(waiters_filter));
	memset(slots, 0, sizeof(slots));
}

const char *waiters_check(void)
{
	uint64_t filter = 0, waited_at = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		unsigned n = count_of(peek(&slots[i].state));

		if (n == BUSY)
			return "waiters: a slot was taken over and never given a lock";
		if (n && !waiters_maybe(slots[i].lock))
			return "waiters: somebody waits, and the filter says that nobody does";
		waited_at += n != 0;
	}
	for (unsigned i = 0; i < WAITERS_FILTER; i++)
		filter += waiters_filter[i];
	return filter == waited_at ? NULL
				   : "waiters: the filter counts other slots than have waiters";
}
