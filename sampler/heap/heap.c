#include "sampler/heap/heap.h"

#include <stdatomic.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/sys.h"
#include "sampler/heap/mapped.h"
#include "sampler/heap/peak.h"
#include "sampler/unwind/site_at.h"
#include "sampler/unwind/weight.h"

#define SITES_BYTES (32UL << 20)

/*
 * At and below this rate so much is recorded that thousands of blocks with the
 * same new stack come before the listener can run once.
 */
#define MANY_RATE 16384

/* While it is off threads ask seldom; but they ask, since it may be on again. */
#define OFF_BYTES (64UL << 20)

__thread uint64_t heap_left;

/* A thread's first allocation has drawn its first gap. */
static __thread bool started;
/* Raised while this thread is in here: a signal handler that allocates then passes by. */
static __thread volatile bool inside;

/* site.total[]: blocks in 1/WEIGHT_ONE, bytes in 1. */
enum heap_total { ALLOC_BLOCKS, ALLOC_BYTES, FREE_BLOCKS, FREE_BYTES };

SITE_TABLE(sites, SITES_BYTES, COUNTER_HEAP_STACK_TABLE_FULL, COUNTER_HEAP_STACKS_UNKNOWN);

static struct {
	atomic_uint_fast64_t rate; /* 0: off */
	unsigned unseen;
} heap = { .rate = HEAP_RATE_DEFAULT };

uint64_t heap_rate(void)
{
	return atomic_load_explicit(&heap.rate, memory_order_relaxed);
}

bool heap_is_on(void)
{
	return heap_rate() != 0;
}

void heap_set_rate(uint64_t rate)
{
	atomic_store_explicit(&heap.rate, rate, memory_order_relaxed);
	started = false; /* this thread draws anew; others do at their next sample */
	heap_left = 0;
	if (rate && rate <= MANY_RATE)
		site_at_expect_many();
}

void heap_turn_off(void)
{
	heap_set_rate(0);
	live_take_all(NULL); /* or a child would look in tables that it has not inherited */
}

void heap_begin_anew(void)
{
	live_take_all(NULL);
	sites_begin_anew(&sites);
	peak_begin_anew();
}

void heap_skip(uint64_t bytes)
{
	started = false;
	heap_left = bytes;
}

void heap_set_unseen(unsigned what)
{
	heap.unseen = what;
}

unsigned heap_unseen(void)
{
	return heap.unseen;
}

/* ---- when to sample */

/* The byte that is hit is the one behind the gap. */
static uint64_t next_gap(uint64_t rate)
{
	if (rate == 0)
		return OFF_BYTES;
	return rate == 1 ? 0 : (uint64_t)weight_next_gap(rate) + 1;
}

/* heap_left starts at 0: what the first allocation took off it counts from its first gap. */
static bool start_thread(size_t size)
{
	started = true;
	heap_left = next_gap(heap_rate());
	return heap_count_down(size);
}

bool heap_begin_sample(size_t size)
{
	uint64_t rate = heap_rate();

	if (inside) {
		counter_add(COUNTER_HEAP_SKIPPED_IN_HANDLER, 1);
		heap_left = next_gap(rate); /* the countdown has taken it below 0 */
		return false;
	}
	if (!started && !start_thread(size))
		return false;
	heap_left = next_gap(rate);
	return rate != 0;
}

/* ---- accounting */

/* Bytes that `blocks` blocks of this size are, rounded. */
static uint64_t bytes_of(uint64_t blocks, uint64_t size)
{
	return (uint64_t)(((unsigned __int128)blocks * size + WEIGHT_ONE / 2) / WEIGHT_ONE);
}

/* What a parent had is not what this process has most of. */
static void count_live(const struct site *s, int64_t bytes)
{
	if (LIKELY(s->epoch == sites.epoch))
		peak_count(bytes);
}

static atomic_uint_fast64_t allocated; /* since the start, or the fork */

uint64_t heap_allocated(void)
{
	return atomic_load_explicit(&allocated, memory_order_relaxed);
}

static void count_alloc(const struct live_block *b)
{
	atomic_fetch_add_explicit(&allocated, b->bytes, memory_order_relaxed);
	site_add(b->site, ALLOC_BLOCKS, b->blocks);
	site_add(b->site, ALLOC_BYTES, b->bytes);
	count_live(b->site, (int64_t)b->bytes);
}

static void part_freed(struct live_block part, bool is_last)
{
	count_live(part.site, -(int64_t)part.bytes);
	site_add(part.site, FREE_BLOCKS, part.blocks);
	site_add(part.site, FREE_BYTES, part.bytes);
	if (is_last)
		site_release(part.site);
}

void heap_freed(struct live_block block)
{
	part_freed(block, true);
}

static void lose(struct live_block block)
{
	counter_add(COUNTER_HEAP_BLOCKS_LOST, 1);
	heap_freed(block);
}

static void lose_part(struct live_block part, bool is_last)
{
	counter_add(COUNTER_HEAP_BLOCKS_LOST, 1);
	part_freed(part, is_last);
}

void heap_lose_blocks(void)
{
	live_take_all(lose);
	mapped_cut(0, UINT64_MAX, UINT64_MAX, lose_part);
}

static uint32_t now_s(void)
{
	return (uint32_t)(monotonic_coarse_ns() / NS_PER_SECOND);
}

static struct live_block weigh(size_t size, struct site *site)
{
	uint64_t blocks = weight_of_block(size, heap_rate());

	return (struct live_block){
		.blocks = blocks, .bytes = bytes_of(blocks, size), .site = site, .born_s = now_s()
	};
}

/* The allocator has the address back, so its last block was freed behind our back. */
static NOINLINE void drop_stale(const void *p)
{
	struct live_block stale;

	if (live_remove(p, &stale))
		heap_freed(stale);
}

static NOINLINE void record_block(const void *p, size_t size, struct site *site)
{
	struct live_block block = weigh(size, site);

	count_alloc(&block);
	if (!live_add(p, block))
		heap_freed(block);
	counter_add(COUNTER_HEAP_SAMPLES, 1);
}

void heap_record(const void *p, size_t size, const struct frame_regs *caller)
{
	inside = true;
	if (live_maybe(p))
		drop_stale(p);
	record_block(p, size, site_at(&sites, 0, caller)); /* a walk takes stack enough */
	inside = false;
}

void heap_begin_mappings(void)
{
	mapped_init();
}

static NOINLINE void record_mapped(const void *p, size_t size, struct site *site)
{
	struct live_block block = weigh(size, site);

	count_alloc(&block);
	if (!mapped_add((uint64_t)p, size, block))
		heap_freed(block);
	counter_add(COUNTER_HEAP_SAMPLES, 1);
}

void heap_record_mapped(const void *p, size_t size, uint64_t leaf, const struct frame_regs *caller)
{
	inside = true;
	record_mapped(p, size, site_at(&sites, leaf, caller));
	inside = false;
}

void heap_unmapped(const void *p, size_t size, uint64_t since)
{
	mapped_cut((uint64_t)p, size, since, part_freed);
}

bool heap_take_out(const void *p, struct live_block *out)
{
	return live_remove(p, out);
}

void heap_put_back(const void *p, struct live_block block)
{
	if (!live_add(p, block))
		heap_freed(block);
}

void heap_forget(const void *p)
{
	struct live_block block;

	if (live_remove(p, &block))
		heap_freed(block);
}

/* ---- the listener's part */

/* free first: what is freed in between was allocated before, so that in-use is never negative. */
static void add_values(const struct site *s, int64_t *value)
{
	uint64_t free_blocks = site_get(s, FREE_BLOCKS), free_bytes = site_get(s, FREE_BYTES);
	uint64_t alloc_blocks, alloc_bytes;

	atomic_thread_fence(memory_order_seq_cst);
	alloc_blocks = site_get(s, ALLOC_BLOCKS);
	alloc_bytes = site_get(s, ALLOC_BYTES);
	value[HEAP_VALUE_ALLOC_OBJECTS] += (int64_t)alloc_blocks;
	value[HEAP_VALUE_ALLOC_BYTES] += (int64_t)alloc_bytes;
	value[HEAP_VALUE_INUSE_OBJECTS] += (int64_t)(alloc_blocks - free_blocks);
	value[HEAP_VALUE_INUSE_BYTES] += (int64_t)(alloc_bytes - free_bytes);
}

void heap_after_fork(void)
{
	sites_begin_epoch(&sites);
	atomic_store_explicit(&allocated, 0, memory_order_relaxed);
	mapped_after_fork();
	peak_after_fork();
}

/* Their stacks are what a leak is found by. */
static bool has_live_blocks(const struct site *s)
{
	return site_get(s, FREE_BYTES) != site_get(s, ALLOC_BYTES);
}

static void round_objects(struct stack_table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		int64_t *objects = &t->list[i]->value[HEAP_VALUE_INUSE_OBJECTS];

		*objects = weight_round(*objects);
	}
}

struct older {
	struct stack_table *table;
	uint32_t epoch;	  /* the least */
	uint32_t until_s; /* born then or before */
	uint32_t now_s;
	bool ages;
};

/* 1 is below two seconds, 2 below four, and so on. */
static uint32_t age_label(const struct older *o, const struct live_block *b)
{
	uint32_t age_s = o->now_s - MIN(b->born_s, o->now_s);

	if (!o->ages)
		return 0;
	return age_s < 2 ? 1 : 32 - (uint32_t)__builtin_clz(age_s);
}

/* A record whose stack is not known yet stands for nobody's. */
static struct stack *stack_of(struct stack_table *t, const struct site *s, uint32_t label)
{
	static const uint64_t unknown = PSEUDO_UNKNOWN;
	const struct site *known = atomic_load_explicit(&s->resolved, memory_order_acquire);

	if (s->depth == 0 && known)
		s = known;
	return s->depth ? stack_table_add_labelled(t, s->frame, s->depth, label)
			: stack_table_add_labelled(t, &unknown, 1, label);
}

static void add_if_older(const struct live_block *b, void *arg)
{
	const struct older *o = arg;
	struct stack *s;

	if (b->born_s > o->until_s || b->site->epoch < o->epoch)
		return;
	s = stack_of(o->table, b->site, age_label(o, b));
	if (!s)
		return;
	s->value[HEAP_VALUE_INUSE_OBJECTS] += (int64_t)b->blocks;
	s->value[HEAP_VALUE_INUSE_BYTES] += (int64_t)b->bytes;
}

void heap_snapshot_older(struct stack_table *t, bool own, int64_t seconds, bool ages)
{
	int64_t now_s = sys_now_ns() / NS_PER_SECOND;
	struct older o = { .table = t,
			   .epoch = own ? sites.epoch : 0,
			   .until_s = (uint32_t)MAX(now_s - seconds, (int64_t)0),
			   .now_s = (uint32_t)now_s,
			   .ages = ages };

	live_each(add_if_older, &o);
	mapped_each(add_if_older, &o);
	round_objects(t);
}

/* free first, as above. */
static void get_live(const struct site *s, int64_t *blocks, int64_t *bytes)
{
	int64_t value[STACK_VALUES_MAX] = { 0 };

	add_values(s, value);
	*blocks = value[HEAP_VALUE_INUSE_OBJECTS];
	*bytes = value[HEAP_VALUE_INUSE_BYTES];
}

void heap_do_due(void)
{
	peak_look(&sites, sites.epoch, get_live, false);
}

static void add_of_peak(const struct site *s, int64_t blocks, int64_t bytes, void *table)
{
	static const uint64_t unknown = PSEUDO_UNKNOWN;
	struct stack *to = s ? stack_table_add(table, s->frame, s->depth)
			     : stack_table_add(table, &unknown, 1);

	if (!to)
		return;
	to->value[HEAP_VALUE_INUSE_OBJECTS] += blocks;
	to->value[HEAP_VALUE_INUSE_BYTES] += bytes;
}

void heap_snapshot_peak(struct stack_table *t, struct heap_peak *found)
{
	site_at_drain_all();
	peak_look(&sites, sites.epoch, get_live, true);
	peak_each(add_of_peak, t);
	round_objects(t);
	*found = (struct heap_peak){ peak_time_ns(), peak_highest() };
}

static void round_all_objects(struct stack_table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		int64_t *value = t->list[i]->value;

		value[HEAP_VALUE_ALLOC_OBJECTS] = weight_round(value[HEAP_VALUE_ALLOC_OBJECTS]);
		value[HEAP_VALUE_INUSE_OBJECTS] = weight_round(value[HEAP_VALUE_INUSE_OBJECTS]);
	}
}

void heap_snapshot(struct stack_table *t, bool own)
{
	sites_snapshot(&sites, t, own ? sites.epoch : 0, add_values, has_live_blocks);
	round_all_objects(t);
}

static void finish_other(const struct stack_table *raw, struct stack_table *out)
{
	for (size_t i = 0; i < raw->count; i++)
		stack_add_values(stack_table_add(out, raw->list[i]->frame, raw->list[i]->depth),
				 raw->list[i]);
	round_all_objects(out);
}

const struct other_sites_kind heap_of_other = { .table = &sites,
						.values = add_values,
						.finish = finish_other };
