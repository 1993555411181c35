#include "sampler/process/label_place.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/process/label_place_handler.h"
#include "sampler/process/label_set.h"
#include "sampler/process/tasks.h"

/* To ask for it each time is a system call. */
static __thread int own_tid;

static uint64_t entry(int tid, uint32_t set)
{
	return set ? (uint64_t)(uint32_t)tid << 32 | set : 0;
}

static void take(int tid, uint64_t wanted)
{
	atomic_uint_fast64_t *first = label_place_first(tid);

	atomic_store_explicit(&label_places.is_used, true, memory_order_relaxed);
	for (int i = 0; i < REACH; i++) {
		uint64_t free = 0;

		if (atomic_compare_exchange_strong(&first[i], &free, wanted))
			return;
	}
	counter_add(COUNTER_LABELS_HIDDEN, 1);
}

/* A signal handler of the program may do the same in between: then what was seen has changed. */
static void tell(int tid, uint32_t set)
{
	uint64_t seen, wanted = entry(tid, set);
	atomic_uint_fast64_t *at;

	do
		at = label_place_find(tid, &seen);
	while (at && (!atomic_compare_exchange_strong(at, &seen, wanted) || !wanted));
	if (!at && wanted)
		take(tid, wanted);
}

void label_place_set(uint32_t set, int (*ask_tid)(void))
{
	label_set_mine = set;
	if (UNLIKELY(!own_tid))
		own_tid = ask_tid();
	if (!own_tid) {
		counter_add(COUNTER_LABELS_HIDDEN, 1);
		return;
	}
	do {
		set = label_set_mine;
		tell(own_tid, set);
	} while (set != *(volatile uint32_t *)&label_set_mine);
}

void label_place_end(void)
{
	if (LIKELY(!label_set_mine))
		return;
	label_set_mine = 0;
	if (own_tid)
		tell(own_tid, 0);
}

static bool is_gone(int tid)
{
	char name[32];
	long n = tasks_read_file(tid, "/comm", name, sizeof(name));

	return n == -ENOENT || n == -ESRCH;
}

void label_places_sweep(void)
{
	for (size_t i = 0; atomic_load(&label_places.is_used) && i < ARRAY_SIZE(label_places.at);
	     i++) {
		uint64_t seen = atomic_load_explicit(&label_places.at[i], memory_order_relaxed);

		if (seen && is_gone((int)(seen >> 32)))
			atomic_compare_exchange_strong(&label_places.at[i], &seen, 0);
	}
}

/* What a process that was forked itself has named since then nobody above it knows. */
static void note_common(void)
{
	static bool is_forked;
	uint32_t last = label_set_last();

	if (!is_forked || atomic_load(&label_places.common) > last)
		atomic_store(&label_places.common, last);
	is_forked = true;
}

void label_place_after_fork(void)
{
	note_common();
	for (size_t i = 0; atomic_load(&label_places.is_used) && i < ARRAY_SIZE(label_places.at);
	     i++)
		atomic_store_explicit(&label_places.at[i], 0, memory_order_relaxed);
	own_tid = 0;
	if (label_set_mine)
		label_place_set(label_set_mine, sys_gettid);
}
