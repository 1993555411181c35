#include "sampler/live.h"

#include <stdatomic.h>
#include <stddef.h>

#include "sampler/counters.h"
#include "sampler/sandbox.h"
#include "sampler/sys.h"
#include "shim/cc.h"

/* 4096 slots, 8192, ... 1 Mi: 2 Mi slots and 64 MiB in all, which is 1 TiB of heap at 512 KiB. */
#define LEVELS	    9
#define FIRST_LEVEL 4096UL
#define WINDOW	    16

#define EMPTY 0
#define BUSY  1

struct slot {
	atomic_uint_fast64_t addr;
	struct live_block block; /* belongs to who made addr BUSY */
};

uint8_t live_filter[LIVE_FILTER_BYTES];

static struct slot *_Atomic level[LEVELS];
static atomic_uint_fast64_t in_level[LEVELS];

static uint64_t level_size(int i)
{
	return FIRST_LEVEL << i;
}

/* ---- the filter */

#define STUCK 255 /* so many that it is no longer counted */

static void filter_change(const void *p, int by)
{
	uint8_t *byte = &live_filter[(uint64_t)p >> 12 & (LIVE_FILTER_BYTES - 1)];
	uint8_t now = __atomic_load_n(byte, __ATOMIC_RELAXED);

	while (now != STUCK && !__atomic_compare_exchange_n(byte, &now, (uint8_t)(now + by), true,
							    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* ---- the table */

static struct slot *slot_at(struct slot *slots, int i, uint64_t addr, int k)
{
	uint64_t home = addr * 0x9e3779b97f4a7c15ULL >> 32;

	return &slots[(home + (uint64_t)k) & (level_size(i) - 1)];
}

static struct slot *make_level(int i)
{
	size_t bytes = level_size(i) * sizeof(struct slot);
	struct slot *fresh = sandbox_is_noted() ? NULL : sys_map_kept(bytes), *seen = NULL;

	if (!fresh)
		return NULL;
	if (atomic_compare_exchange_strong_explicit(&level[i], &seen, fresh, memory_order_acq_rel,
						    memory_order_acquire))
		return fresh;
	sys_unmap_kept(fresh, bytes); /* another thread was faster */
	return seen;
}

static struct slot *slots_of(int i)
{
	return atomic_load_explicit(&level[i], memory_order_acquire);
}

/* Three quarters full: windows begin to overflow. */
static bool is_full(int i)
{
	return atomic_load_explicit(&in_level[i], memory_order_relaxed) > level_size(i) / 4 * 3;
}

static bool put(struct slot *slots, int i, uint64_t addr, const struct live_block *block)
{
	for (int k = 0; k < WINDOW; k++) {
		struct slot *s = slot_at(slots, i, addr, k);
		uint64_t empty = EMPTY;

		if (!atomic_compare_exchange_strong_explicit(
			    &s->addr, &empty, BUSY, memory_order_acquire, memory_order_relaxed))
			continue;
		s->block = *block;
		atomic_fetch_add_explicit(&in_level[i], 1, memory_order_relaxed);
		/* release: pairs with the acquire of who takes it out */
		atomic_store_explicit(&s->addr, addr, memory_order_release);
		return true;
	}
	return false;
}

bool live_add(const void *p, struct live_block block)
{
	for (int i = 0; i < LEVELS; i++) {
		struct slot *slots = slots_of(i);

		if (is_full(i))
			continue;
		if (!slots)
			slots = make_level(i);
		if (slots && put(slots, i, (uint64_t)p, &block)) {
			filter_change(p, 1);
			return true;
		}
	}
	counter_add(COUNTER_HEAP_LIVE_DROPPED, 1);
	return false;
}

static bool take(struct slot *slots, int i, uint64_t addr, struct live_block *out)
{
	for (int k = 0; k < WINDOW; k++) {
		struct slot *s = slot_at(slots, i, addr, k);
		uint64_t wanted = addr;

		if (atomic_load_explicit(&s->addr, memory_order_relaxed) != addr)
			continue;
		if (!atomic_compare_exchange_strong_explicit(
			    &s->addr, &wanted, BUSY, memory_order_acquire, memory_order_relaxed))
			continue;
		*out = s->block;
		atomic_fetch_sub_explicit(&in_level[i], 1, memory_order_relaxed);
		atomic_store_explicit(&s->addr, EMPTY, memory_order_release);
		return true;
	}
	return false;
}

bool live_remove(const void *p, struct live_block *out)
{
	if ((uint64_t)p <= BUSY) /* free(NULL) may get here, and empty slots read like that */
		return false;
	for (int i = 0; i < LEVELS; i++) {
		struct slot *slots = slots_of(i);

		if (slots && take(slots, i, (uint64_t)p, out)) {
			filter_change(p, -1);
			return true;
		}
	}
	return false;
}

static void forget(uint64_t addr, void (*fn)(struct live_block block))
{
	struct live_block block;

	if (!live_remove((const void *)addr, &block))
		return;
	live_filter[addr >> 12 & (LIVE_FILTER_BYTES - 1)] = 0;
	if (fn)
		fn(block);
}

void live_take_all(void (*fn)(struct live_block block))
{
	for (int i = 0; i < LEVELS; i++) {
		struct slot *slots = slots_of(i);

		for (uint64_t k = 0; slots && k < level_size(i); k++)
			forget(atomic_load_explicit(&slots[k].addr, memory_order_relaxed), fn);
	}
}

uint64_t live_count(void)
{
	uint64_t n = 0;

	for (int i = 0; i < LEVELS; i++)
		n += atomic_load_explicit(&in_level[i], memory_order_relaxed);
	return n;
}
