/*
 * One slot for each lock that somebody waits at.  All about its waiters is in 16
 * bytes that change at once: how many there are, how many have gone, a base time,
 * and the sum of their starts relative to the base.  So a lock with a thousand waiters costs an
 * unlock no more than one with a single waiter, and no thread ever waits for
 * another one here.
 *
 * Who gives up leaves what it has waited as a debt, for the thread that held the lock
 * all that time.  It is in the same sum, with the other sign.  Sums that become large are
 * moved to a word of 64 bits beside it (fold()), so none is ever too large.
 *
 * A slot without waiters and debts keeps its address and may be given to another lock; who
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
#include "sampler/base/sys.h"

/*
 * The second part is used when there is no room in the first, so that memory which few
 * programs need is touched by those alone.
 */
#define SLOTS	   1024
#define MORE_SLOTS 15360
#define WINDOW	   8 /* slots of each part that a lock may be in */

/* struct state.packed: net sum in units of 16 ns, how many have gone, a debt, waiters. */
#define COUNT_BITS 16
#define OWES	   (1UL << COUNT_BITS) /* more is due than those who wait have waited */
#define GONE_SHIFT (COUNT_BITS + 1)
#define GONE_MAX   511U
#define NET_SHIFT  26
#define UNIT_NS	   16
#define BUSY	   0xffffU /* in place of the number of waiters */

/*
 * Fold what is older than this, and sums from here on.  One more waiter adds less than
 * FOLD_NS then, so the 38 bits of the sum (18 minutes to each side) are never used up.
 */
#define FOLD_NS	 (10 * NS_PER_SECOND)
#define FOLD_NET (1L << 36)

struct state {
	uint64_t base_ns; /* last charge, or first arrival after the slot was empty */
	uint64_t packed;
} __attribute__((aligned(16)));

struct waiters_slot {
	struct state state;
	uint64_t base_cycles; /* base_ns by the processor's clock; only a hint */
	const void *lock;
	uint64_t owed_ns, owed_waits; /* folded: due beside what the state says */
} __attribute__((aligned(64)));

uint64_t waiters_filter[WAITERS_FILTER];

static struct waiters_slot slots[SLOTS + MORE_SLOTS];
static bool more_are_used;

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

static bool owes(struct state s)
{
	return s.packed & OWES;
}

static unsigned gone_of(struct state s)
{
	return s.packed >> GONE_SHIFT & GONE_MAX;
}

/*
 * The sum of what those who wait began after the base, less debts: the more it is, the
 * less is due.
 */
static int64_t net_of(struct state s)
{
	return (int64_t)s.packed >> NET_SHIFT;
}

static struct state pack(uint64_t base_ns, unsigned count, uint64_t debt, unsigned gone,
			 int64_t net)
{
	return (struct state){ base_ns, (uint64_t)net << NET_SHIFT |
						(uint64_t)MIN(gone, GONE_MAX) << GONE_SHIFT | debt |
						count };
}

/* Nobody waits and nothing is due: the slot is free. */
static bool is_quiet(struct state s)
{
	return count_of(s) == 0 && !owes(s);
}

/* What a waiter that started then adds to the sum. */
static int64_t since_base(struct state s, int64_t ns)
{
	return (uint64_t)ns > s.base_ns ? (int64_t)(((uint64_t)ns - s.base_ns) / UNIT_NS) : 0;
}

static uint64_t due_of(struct state s, int64_t now_ns)
{
	__int128 due = (__int128)count_of(s) * ((uint64_t)now_ns - s.base_ns) -
		       (__int128)net_of(s) * UNIT_NS;

	return due > 0 ? (uint64_t)due : 0;
}

static void set_base_cycles(struct waiters_slot *slot)
{
	__atomic_store_n(&slot->base_cycles, monotonic_cycles(), __ATOMIC_RELAXED);
}

/* ---- slots */

static unsigned window(void)
{
	return __atomic_load_n(&more_are_used, __ATOMIC_RELAXED) ? 2 * WINDOW : WINDOW;
}

static struct waiters_slot *slot_at(const void *lock, unsigned k)
{
	uint64_t home = (uint64_t)lock * 0x9e3779b97f4a7c15ULL >> 40;

	return k < WINDOW ? &slots[(home + k) % SLOTS] : &slots[SLOTS + (home + k) % MORE_SLOTS];
}

static bool is_of(const struct waiters_slot *slot, const void *lock)
{
	return __atomic_load_n(&slot->lock, __ATOMIC_ACQUIRE) == lock;
}

/* The filter counts slots that are not quiet: what a crowd has in common changes once. */
static void first_arrived(struct waiters_slot *slot, const void *lock)
{
	set_base_cycles(slot);
	__atomic_fetch_add(waiters_entry(lock), 1, __ATOMIC_RELAXED);
}

static void last_left(const void *lock)
{
	__atomic_fetch_sub(waiters_entry(lock), 1, __ATOMIC_RELAXED);
}

static bool is_to_fold(struct state s, int64_t now_ns)
{
	return (uint64_t)now_ns > s.base_ns + FOLD_NS ||
	       ((uint64_t)now_ns > s.base_ns && (net_of(s) >= FOLD_NET || net_of(s) <= -FOLD_NET));
}

/* Takes what is due there, so that the sums begin anew.  False when nothing can be. */
static bool take_due(struct waiters_slot *slot, const void *lock, int64_t now_ns, struct state *was)
{
	struct state seen = peek(&slot->state);

	do {
		if (!is_of(slot, lock) || is_quiet(seen) || count_of(seen) == BUSY ||
		    (uint64_t)now_ns <= seen.base_ns)
			return false;
	} while (!swap(&slot->state, &seen, pack((uint64_t)now_ns, count_of(seen), 0, 0, 0)));
	*was = seen;
	return true;
}

/* The slot stays what it is: the caller is one of those who are counted there. */
static void mark_debt(struct waiters_slot *slot)
{
	struct state seen = peek(&slot->state), to;

	do {
		to = (struct state){ seen.base_ns, seen.packed | OWES };
	} while (!swap(&slot->state, &seen, to));
}

/* The caller waits there.  An unlock in between finds nothing; the next one finds it. */
static void leave_folded(struct waiters_slot *slot, struct state was, int64_t now_ns)
{
	__atomic_fetch_add(&slot->owed_ns, due_of(was, now_ns), __ATOMIC_RELAXED);
	__atomic_fetch_add(&slot->owed_waits, gone_of(was), __ATOMIC_RELAXED);
	mark_debt(slot);
}

static struct state with_one_more(struct state s, int64_t start_ns)
{
	if (is_quiet(s))
		return pack((uint64_t)start_ns, 1, 0, 0, 0);
	if (is_to_fold(s, start_ns))
		return pack((uint64_t)start_ns, count_of(s) + 1, OWES, 0, 0);
	return pack(s.base_ns, count_of(s) + 1, s.packed & OWES, gone_of(s),
		    net_of(s) + since_base(s, start_ns));
}

/* One more at a slot that has this lock already. */
static bool join(struct waiters_slot *slot, const void *lock, int64_t start_ns)
{
	struct state seen = peek(&slot->state);

	do {
		if (!is_of(slot, lock) || count_of(seen) >= BUSY - 1)
			return false;
	} while (!swap(&slot->state, &seen, with_one_more(seen, start_ns)));
	if (is_quiet(seen))
		first_arrived(slot, lock);
	else if (is_to_fold(seen, start_ns))
		leave_folded(slot, seen, start_ns);
	return true;
}

/* The first at a slot that nobody waits at; a debt that nobody came for gives way to `forced`. */
static bool take_over(struct waiters_slot *slot, const void *lock, int64_t start_ns, bool forced)
{
	const void *old = __atomic_load_n(&slot->lock, __ATOMIC_ACQUIRE);
	struct state seen = peek(&slot->state), busy;
	uint64_t lost;

	if (count_of(seen) != 0 || (owes(seen) && !forced))
		return false;
	busy = pack(seen.base_ns, BUSY, 0, 0, 0);
	if (!swap(&slot->state, &seen, busy))
		return false;
	__atomic_store_n(&slot->owed_ns, 0, __ATOMIC_RELAXED);
	lost = gone_of(seen) + __atomic_exchange_n(&slot->owed_waits, 0, __ATOMIC_RELAXED);
	if (owes(seen)) {
		last_left(old);
		counter_add(COUNTER_MUTEX_WAITER_TABLE_FULL, lost);
	}
	__atomic_store_n(&slot->lock, lock, __ATOMIC_RELEASE);
	while (!swap(&slot->state, &busy, pack((uint64_t)start_ns, 1, 0, 0, 0)))
		; /* nobody changes a busy slot: once is enough */
	first_arrived(slot, lock);
	return true;
}

static struct waiters_slot *find_slot(const void *lock, int64_t start_ns)
{
	for (unsigned k = 0; k < window(); k++) {
		struct waiters_slot *slot = slot_at(lock, k);

		if (is_of(slot, lock) && join(slot, lock, start_ns))
			return slot;
	}
	for (unsigned k = 0; k < 2 * WINDOW; k++) {
		struct waiters_slot *slot = slot_at(lock, k);

		if (k == WINDOW)
			__atomic_store_n(&more_are_used, true, __ATOMIC_RELAXED);
		if (take_over(slot, lock, start_ns, false))
			return slot;
	}
	for (unsigned k = 0; k < 2 * WINDOW; k++) {
		struct waiters_slot *slot = slot_at(lock, k);

		if (take_over(slot, lock, start_ns, true))
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

/* How one that began then leaves the state: without a trace, or with what it has waited as a debt.
 */
static struct state with_one_less(struct state s, int64_t start_ns, int64_t gave_up_ns)
{
	bool stays_due = gave_up_ns && since_base(s, gave_up_ns);
	uint64_t debt = stays_due ? OWES : s.packed & OWES;
	int64_t net = net_of(s) - since_base(s, stays_due ? gave_up_ns : start_ns);

	ASSERT(count_of(s) != 0 && count_of(s) != BUSY);
	return pack(s.base_ns, count_of(s) - 1, debt, gone_of(s) + 1, debt ? net : MAX(net, 0));
}

/* Their number is too large for the state.  The caller is still counted there. */
static void fold_gone(struct waiters_slot *slot)
{
	struct state seen = peek(&slot->state), to;

	do {
		to = pack(seen.base_ns, count_of(seen), seen.packed & OWES, 0, net_of(seen));
	} while (!swap(&slot->state, &seen, to));
	__atomic_fetch_add(&slot->owed_waits, gone_of(seen), __ATOMIC_RELAXED);
}

static void leave(struct waiters_slot *slot, const void *lock, int64_t start_ns, int64_t gave_up_ns)
{
	struct state seen = peek(&slot->state), to;

	if (gone_of(seen) >= GONE_MAX / 2)
		fold_gone(slot);
	do {
		to = with_one_less(seen, start_ns, gave_up_ns);
	} while (!swap(&slot->state, &seen, to));
	if (is_quiet(to))
		last_left(lock);
}

void waiters_remove(struct waiters_slot *slot, const void *lock, int64_t start_ns)
{
	leave(slot, lock, start_ns, 0);
}

void waiters_give_up(struct waiters_slot *slot, const void *lock, int64_t start_ns, int64_t now_ns)
{
	struct state was;

	if (is_to_fold(peek(&slot->state), now_ns) && take_due(slot, lock, now_ns, &was))
		leave_folded(slot, was, now_ns);
	leave(slot, lock, start_ns, now_ns);
}

/* ---- charges */

static bool has_due(const struct waiters_slot *slot)
{
	return __atomic_load_n(&slot->state.packed, __ATOMIC_RELAXED) & (BUSY | OWES);
}

static bool is_old(const struct waiters_slot *slot)
{
	uint64_t base = __atomic_load_n(&slot->base_cycles, __ATOMIC_RELAXED);

	return monotonic_cycles() - base >= ARCH_CYCLES_25_US;
}

bool waiters_worth_charging(const void *lock)
{
	for (unsigned k = 0; k < window(); k++) {
		const struct waiters_slot *slot = slot_at(lock, k);

		if (is_of(slot, lock) && has_due(slot))
			return is_old(slot);
	}
	return false;
}

static NOINLINE struct waiters_due charge(struct waiters_slot *slot, const void *lock,
					  int64_t now_ns)
{
	struct waiters_due due;
	struct state was;

	if (!take_due(slot, lock, now_ns, &was))
		return (struct waiters_due){ 0 };
	due.delay_ns = (int64_t)(due_of(was, now_ns) +
				 __atomic_exchange_n(&slot->owed_ns, 0, __ATOMIC_RELAXED));
	due.waits = gone_of(was) + __atomic_exchange_n(&slot->owed_waits, 0, __ATOMIC_RELAXED);
	due.waits = MAX(due.waits, 1);
	if (count_of(was) == 0)
		last_left(lock);
	else
		set_base_cycles(slot);
	return due;
}

/* Two threads that came first at once may have taken a slot each. */
struct waiters_due waiters_charge(const void *lock, int64_t now_ns)
{
	struct waiters_due all = { 0 };

	for (unsigned k = 0; k < window(); k++) {
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
	memset(slots, 0, SLOTS * sizeof(*slots));
	if (more_are_used)
		memset(slots + SLOTS, 0, MORE_SLOTS * sizeof(*slots));
	more_are_used = false;
}

static const char *slot_check(const struct waiters_slot *slot)
{
	struct state s = peek(&slot->state);

	if (count_of(s) == BUSY)
		return "waiters: a slot was taken over and never given a lock";
	if (!is_quiet(s) && !waiters_maybe(slot->lock))
		return "waiters: something is due, and the filter says that nobody waits";
	return NULL;
}

const char *waiters_check(void)
{
	const char *wrong = NULL;
	uint64_t filter = 0, in_use = 0;

	for (unsigned i = 0; !wrong && i < ARRAY_SIZE(slots); i++) {
		wrong = slot_check(&slots[i]);
		in_use += !is_quiet(peek(&slots[i].state));
	}
	for (unsigned i = 0; i < WAITERS_FILTER; i++)
		filter += waiters_filter[i];
	if (!wrong && filter != in_use)
		wrong = "waiters: the filter counts other slots than are in use";
	return wrong;
}
