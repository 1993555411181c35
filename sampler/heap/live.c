#include "sampler/heap/live.h"

#include <stdatomic.h>
#include <stddef.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys_map.h"

/*
 * 4096 slots, 32 Ki, 256 Ki and 1 Mi: 41 MiB in all, touched as they fill.  Half a
 * million samples all find room, which at 512 KiB are 250 GB of heap; of a million
 * three in a thousand do not.
 */
#define LEVELS 4
static const uint8_t level_bits[LEVELS] = { 9, 12, 15, 17 }; /* log2 of its buckets */

#define EMPTY 0
#define BUSY  1

/* The addresses are one cache line, and all that a look for an unknown one reads. */
#define BUCKET_SLOTS 8

struct bucket {
	atomic_uint_fast64_t addr[BUCKET_SLOTS];
	struct live_block block[BUCKET_SLOTS]; /* each belongs to who made its addr BUSY */
};

static struct bucket *_Atomic level[LEVELS];

/* ---- the filter */

#define STUCK 255 /* so many that it is no longer counted */

static void filter_change(const void *p, int by)
{
	uint8_t *byte = &reserve.live_filter[live_place(p)];
	uint8_t now = __atomic_load_n(byte, __ATOMIC_RELAXED);

	/* 0 and one less: live_take_all() emptied the byte of a block that it has yet to take */
	while (now != STUCK && (by > 0 || now > 0) &&
	       !__atomic_compare_exchange_n(byte, &now, (uint8_t)(now + by), true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

/* ---- the table */

static size_t buckets_in(int i)
{
	return 1UL << level_bits[i];
}

static struct bucket *home_in(struct bucket *buckets, int i, uint64_t addr)
{
	return &buckets[addr * 0x9e3779b97f4a7c15ULL >> (64 - level_bits[i])];
}

/* False without memory. */
static bool make_level(int i)
{
	size_t bytes = buckets_in(i) * sizeof(struct bucket);
	struct bucket *fresh = sandbox_is_noted() ? NULL : sys_map_kept(bytes), *seen = NULL;

	if (fresh && !atomic_compare_exchange_strong_explicit(
			     &level[i], &seen, fresh, memory_order_acq_rel, memory_order_acquire))
		sys_unmap_kept(fresh, bytes); /* another thread was faster */
	return fresh;
}

static struct bucket *buckets_of(int i)
{
	return atomic_load_explicit(&level[i], memory_order_acquire);
}

static bool put_block(struct bucket *b, uint64_t addr, const struct live_block *block)
{
	for (int k = 0; k < BUCKET_SLOTS; k++) {
		uint64_t empty = EMPTY;

		if (atomic_load_explicit(&b->addr[k], memory_order_relaxed) != EMPTY)
			continue;
		if (!atomic_compare_exchange_strong_explicit(
			    &b->addr[k], &empty, BUSY, memory_order_acquire, memory_order_relaxed))
			continue;
		b->block[k] = *block;
		/* release: pairs with the acquire of who takes it out */
		atomic_store_explicit(&b->addr[k], addr, memory_order_release);
		return true;
	}
	return false;
}

static bool put_in(int i, const void *p, const struct live_block *block)
{
	struct bucket *buckets = buckets_of(i);

	return buckets && put_block(home_in(buckets, i, (uint64_t)p), (uint64_t)p, block);
}

/* Into the largest level that there is: most of what is looked for is found there at once. */
static bool put_in_any(const void *p, const struct live_block *block)
{
	for (int i = LEVELS - 1; i >= 0; i--)
		if (put_in(i, p, block))
			return true;
	for (int i = 0; i < LEVELS; i++)
		if (!buckets_of(i) && make_level(i) && put_in(i, p, block))
			return true;
	return false;
}

bool live_add(const void *p, struct live_block block)
{
	if (put_in_any(p, &block)) {
		filter_change(p, 1);
		return true;
	}
	counter_add(COUNTER_HEAP_LIVE_DROPPED, 1);
	return false;
}

static bool take_block(struct bucket *b, uint64_t addr, struct live_block *out)
{
	for (int k = 0; k < BUCKET_SLOTS; k++) {
		uint64_t wanted = addr;

		if (atomic_load_explicit(&b->addr[k], memory_order_relaxed) != addr)
			continue;
		if (!atomic_compare_exchange_strong_explicit(
			    &b->addr[k], &wanted, BUSY, memory_order_acquire, memory_order_relaxed))
			continue;
		*out = b->block[k];
		atomic_store_explicit(&b->addr[k], EMPTY, memory_order_release);
		return true;
	}
	return false;
}

bool live_remove(const void *p, struct live_block *out)
{
	if ((uint64_t)p <= BUSY) /* free(NULL) may get here, and empty slots read like that */
		return false;
	for (int i = LEVELS - 1; i >= 0; i--) {
		struct bucket *buckets = buckets_of(i);

		if (buckets && take_block(home_in(buckets, i, (uint64_t)p), (uint64_t)p, out)) {
			filter_change(p, -1);
			return true;
		}
	}
	return false;
}

/* ---- all of it */

static void each_address(void (*fn)(uint64_t addr, void *arg), void *arg)
{
	for (int i = 0; i < LEVELS; i++) {
		struct bucket *buckets = buckets_of(i);

		for (size_t b = 0; buckets && b < buckets_in(i); b++)
			for (int k = 0; k < BUCKET_SLOTS; k++) {
				uint64_t addr = atomic_load_explicit(&buckets[b].addr[k],
								     memory_order_relaxed);

				if (addr > BUSY)
					fn(addr, arg);
			}
	}
}

struct taker {
	void (*fn)(struct live_block block);
};

static void take_one(uint64_t addr, void *arg)
{
	const struct taker *taker = arg;
	struct live_block block;

	if (!live_remove((const void *)addr, &block))
		return;
	reserve.live_filter[live_place((const void *)addr)] = 0;
	if (taker->fn)
		taker->fn(block);
}

void live_take_all(void (*fn)(struct live_block block))
{
	struct taker taker = { fn };

	each_address(take_one, &taker);
}

static void count_address(uint64_t addr, void *n)
{
	(void)addr;
	++*(uint64_t *)n;
}

uint64_t live_count(void)
{
	uint64_t n = 0;

	each_address(count_address, &n);
	return n;
}

struct visit {
	void (*fn)(const struct live_block *block, void *arg);
	void *arg;
};

/* One that is freed meanwhile, or whose slot another block has by then, is passed over. */
static void visit_slot(const struct bucket *b, int k, const struct visit *v)
{
	uint64_t addr = atomic_load_explicit(&b->addr[k], memory_order_acquire);
	struct live_block copy;

	if (addr <= BUSY)
		return;
	copy = b->block[k];
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&b->addr[k], memory_order_relaxed) == addr)
		v->fn(&copy, v->arg);
}

void live_each(void (*fn)(const struct live_block *block, void *arg), void *arg)
{
	const struct visit v = { fn, arg };

	for (int i = 0; i < LEVELS; i++) {
		const struct bucket *buckets = buckets_of(i);

		for (size_t b = 0; buckets && b < buckets_in(i); b++)
			for (int k = 0; k < BUCKET_SLOTS; k++)
				visit_slot(&buckets[b], k, &v);
	}
}

/* ---- for tests */

static uint64_t filter_sum(bool *is_stuck)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(reserve.live_filter); i++) {
		sum += reserve.live_filter[i];
		*is_stuck |= reserve.live_filter[i] == STUCK;
	}
	return sum;
}

static uint64_t busy_slots(void)
{
	uint64_t n = 0;

	for (int i = 0; i < LEVELS; i++)
		for (size_t b = 0; buckets_of(i) && b < buckets_in(i); b++)
			for (int k = 0; k < BUCKET_SLOTS; k++)
				n += buckets_of(i)[b].addr[k] == BUSY;
	return n;
}

static void look_unfiltered(uint64_t addr, void *n)
{
	*(uint64_t *)n += !live_maybe((const void *)addr);
}

const char *live_check(void)
{
	uint64_t unfiltered = 0;
	bool is_stuck = false;

	each_address(look_unfiltered, &unfiltered);
	if (unfiltered)
		return "live: a block is in the table and not in the filter";
	if (busy_slots())
		return "live: a slot was taken and never given back";
	if (filter_sum(&is_stuck) != live_count() && !is_stuck)
		return "live: the filter counts other blocks than the table has";
	return NULL;
}
