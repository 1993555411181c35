/*
 * One entry for each condition, by a hash of its address: the last one that was signalled
 * has it.  Threads that write at once may leave times of one condition under the name
 * of another: a wait that believes it is charged with a part of what it waited at its
 * mutex, and never with more than it has waited.
 */
#include "sampler/locks/wakes.h"

#include <stdatomic.h>
#include <string.h>

#include "sampler/base/cc.h"

#define ENTRIES	   1024
#define BROADCASTS 6 /* of one condition that are remembered */

static struct entry {
	const void *_Atomic condition;
	atomic_uint count; /* broadcasts so far */
	atomic_int_fast64_t broadcast_ns[BROADCASTS], signal_ns;
} entries[ENTRIES];

static atomic_bool is_used;

static struct entry *entry_of(const void *condition)
{
	return &entries[((uint64_t)condition * 0x9e3779b97f4a7c15ULL >> 40) % ENTRIES];
}

static int64_t get(atomic_int_fast64_t *ns)
{
	return atomic_load_explicit(ns, memory_order_relaxed);
}

static void set(atomic_int_fast64_t *ns, int64_t to)
{
	atomic_store_explicit(ns, to, memory_order_relaxed);
}

static bool is_of(struct entry *e, const void *condition)
{
	return atomic_load_explicit(&e->condition, memory_order_acquire) == condition;
}

static void take_over(struct entry *e, const void *condition)
{
	atomic_store_explicit(&e->condition, NULL, memory_order_release);
	for (int i = 0; i < BROADCASTS; i++)
		set(&e->broadcast_ns[i], 0);
	set(&e->signal_ns, 0);
	atomic_store_explicit(&e->condition, condition, memory_order_release);
}

void wakes_note(const void *condition, bool all, int64_t now_ns)
{
	struct entry *e = entry_of(condition);

	if (!is_of(e, condition))
		take_over(e, condition);
	if (all)
		set(&e->broadcast_ns[atomic_fetch_add(&e->count, 1) % BROADCASTS], now_ns);
	else
		set(&e->signal_ns, now_ns);
	if (UNLIKELY(!atomic_load_explicit(&is_used, memory_order_relaxed)))
		atomic_store_explicit(&is_used, true, memory_order_relaxed);
}

int64_t wakes_since(const void *condition, int64_t start_ns)
{
	struct entry *e = entry_of(condition);
	int64_t first = INT64_MAX, signal_ns = get(&e->signal_ns);

	if (!is_of(e, condition))
		return 0;
	for (int i = 0; i < BROADCASTS; i++) {
		int64_t ns = get(&e->broadcast_ns[i]);

		if (ns >= start_ns)
			first = MIN(first, ns);
	}
	if (first < INT64_MAX)
		return first;
	return signal_ns >= start_ns ? signal_ns : 0;
}

void wakes_after_fork(void)
{
	if (is_used)
		memset(entries, 0, sizeof(entries));
	is_used = false;
}
