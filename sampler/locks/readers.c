/*
 * One entry for each lock and reader, near the place that both hash to.  Who sets an
 * entry's tid owns it; the lock is there after the tid and gone before it.
 */
#include "sampler/locks/readers.h"

#include <stdatomic.h>
#include <string.h>

#include "sampler/base/counters.h"

#define ENTRIES 8192
#define WINDOW	16

static struct entry {
	const void *_Atomic lock;
	atomic_int tid;
} entries[ENTRIES];

static atomic_bool are_used;

static struct entry *entry_at(const void *lock, int tid, unsigned k)
{
	uint64_t mixed = ((uint64_t)lock ^ (uint64_t)(unsigned)tid << 40) * 0x9e3779b97f4a7c15ULL;

	return &entries[((mixed >> 40) + k) % ENTRIES];
}

void readers_add(const void *lock, int tid)
{
	for (unsigned k = 0; k < WINDOW; k++) {
		struct entry *e = entry_at(lock, tid, k);
		int nobody = 0;

		if (atomic_load_explicit(&e->tid, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_strong(&e->tid, &nobody, tid)) {
			atomic_store(&e->lock, lock);
			atomic_store_explicit(&are_used, true, memory_order_relaxed);
			return;
		}
	}
	counter_add(COUNTER_READERS_UNRECORDED, 1);
}

void readers_remove(const void *lock, int tid)
{
	for (unsigned k = 0; k < WINDOW; k++) {
		struct entry *e = entry_at(lock, tid, k);

		if (atomic_load(&e->tid) == tid && atomic_load(&e->lock) == lock) {
			atomic_store(&e->lock, NULL);
			atomic_store(&e->tid, 0);
			return;
		}
	}
}

uint32_t readers_of(const void *lock, int *tid, uint32_t max)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < ENTRIES; i++) {
		int who = atomic_load(&entries[i].tid);

		if (!who || atomic_load(&entries[i].lock) != lock)
			continue;
		if (n < max)
			tid[n] = who;
		n++;
	}
	return n;
}

void readers_after_fork(void)
{
	if (are_used)
		memset(entries, 0, sizeof(entries));
	are_used = false;
}
