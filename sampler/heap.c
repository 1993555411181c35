#include "sampler/heap.h"

#include <stdatomic.h>

#include "sampler/capture.h"
#include "sampler/code.h"
#include "sampler/counters.h"
#include "sampler/hook_walk.h"
#include "sampler/modules.h"
#include "sampler/ring.h"
#include "sampler/sandbox.h"
#include "sampler/sys.h"
#include "sampler/wake.h"
#include "sampler/walk.h"
#include "sampler/weight.h"

/*
 * Stacks on their way to the listener.  When nearly every allocation is recorded,
 * thousands with the same new stack come before it can run once.
 */
#define RING_BYTES	 (1UL << 20)
#define LARGE_RING_BYTES (16UL << 20)
#define LARGE_RING_RATE	 16384 /* at and below this rate */

#define NEVER INT64_MAX

__thread uint64_t heap_left;

/* A thread's first allocation has drawn its first gap. */
static __thread bool started;
/* Raised while this thread is in here: a signal handler that allocates then passes by. */
static __thread volatile bool inside;

struct heap_ring {
	struct ring ring;
	atomic_int state; /* 0: none, 1: being made, 2: there */
};

static struct {
	atomic_uint_fast64_t rate; /* 0: off */
	struct heap_ring small, large;
	bool hidden;	  /* the program's own malloc is in front of ours */
	struct walk walk; /* too large for the stack */
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
}

void heap_turn_off(void)
{
	heap_set_rate(0);
	live_take_all(NULL); /* or a child would look in tables that it has not inherited */
}

static void ring_after_fork(struct heap_ring *r)
{
	int state = atomic_load(&r->state);

	if (state == 2)
		ring_mend(&r->ring);
	else
		atomic_store(&r->state, 0);
}

void heap_after_fork(void)
{
	ring_after_fork(&heap.small);
	ring_after_fork(&heap.large);
}

void heap_pause(uint64_t bytes)
{
	started = false;
	heap_left = bytes;
}

static void lose(struct live_block block)
{
	counter_add(COUNTER_HEAP_BLOCKS_LOST, 1);
	heap_freed(block);
}

void heap_lose_blocks(void)
{
	live_take_all(lose);
}

void heap_set_sees_program(bool sees)
{
	heap.hidden = !sees;
}

bool heap_sees_program(void)
{
	return !heap.hidden;
}

/* ---- when to sample */

static uint64_t next_gap(uint64_t rate)
{
	if (rate == 0)
		return NEVER;
	return rate == 1 ? 0 : (uint64_t)weight_next_gap(rate);
}

/* heap_left starts at 0: what the first allocation took off it counts from its first gap. */
static bool start_thread(size_t size)
{
	started = true;
	heap_left = next_gap(heap_rate());
	return heap_tick(size);
}

bool heap_wants(size_t size)
{
	uint64_t rate = heap_rate();

	if (inside) {
		counter_add(COUNTER_HEAP_REENTERED, 1);
		heap_left = next_gap(rate); /* the tick has taken it below 0 */
		return false;
	}
	if (!started && !start_thread(size))
		return false;
	heap_left = next_gap(rate);
	return rate != 0;
}

/* ---- stacks */

static bool make_ring(struct heap_ring *r, size_t bytes)
{
	int state = 0;

	if (sandbox_is_noted()) /* a filtered thread maps nothing */
		return atomic_load(&r->state) == 2;
	if (!atomic_compare_exchange_strong(&r->state, &state, 1))
		return state == 2;
	if (ring_init_kept(&r->ring, bytes) != 0) {
		atomic_store(&r->state, 0);
		return false;
	}
	atomic_store(&r->state, 2);
	return true;
}

static struct ring *ring_for_rate(void)
{
	bool is_large = heap_rate() <= LARGE_RING_RATE;
	struct heap_ring *r = is_large ? &heap.large : &heap.small;

	return make_ring(r, is_large ? LARGE_RING_BYTES : RING_BYTES) ? &r->ring : NULL;
}

static bool hand_over(struct site *site, struct frame_regs caller)
{
	struct ring *r = ring_for_rate();

	return r && capture_call(r, site, caller.pc - 1, caller.sp, caller.bp);
}

/*
 * The stack is not known yet: a record of its own, and a copy of the stack for
 * the listener, who learns the addresses.  So this happens once for each.
 */
static struct site *unresolved_site(struct frame_regs caller)
{
	const uint64_t leaf[] = { caller.pc - 1, PSEUDO_TRUNCATED };
	struct site *site = site_unresolved();
	bool handed_over;

	if (site)
		site->generation = code_unloads();
	handed_over = site && hand_over(site, caller);
	wake();
	if (handed_over)
		return site;
	counter_add(COUNTER_HEAP_STACKS_UNKNOWN, 1);
	return site_of(leaf, ARRAY_SIZE(leaf), modules_generation());
}

static struct site *site_at(struct frame_regs caller)
{
	struct hook_walk w;

	if (hook_walk(caller, &w))
		return site_of(w.pc, w.depth, modules_generation());
	return unresolved_site(caller);
}

/* ---- accounting */

static void add(atomic_uint_fast64_t *total, uint64_t n)
{
	atomic_fetch_add_explicit(total, n, memory_order_relaxed);
}

/* Bytes that `blocks` blocks of this size are, rounded. */
static uint64_t bytes_of(uint64_t blocks, uint64_t size)
{
	return (uint64_t)(((unsigned __int128)blocks * size + WEIGHT_ONE / 2) / WEIGHT_ONE);
}

static void count_alloc(const struct live_block *b)
{
	add(&b->site->alloc_blocks, b->blocks);
	add(&b->site->alloc_bytes, b->bytes);
}

void heap_freed(struct live_block block)
{
	add(&block.site->free_blocks, block.blocks);
	add(&block.site->free_bytes, block.bytes);
}

static struct live_block weigh(size_t size, struct site *site)
{
	uint64_t blocks = weight_of_block(size, heap_rate());

	return (struct live_block){ blocks, bytes_of(blocks, size), site };
}

static void record(const void *p, size_t size, struct frame_regs caller)
{
	struct live_block stale, block = weigh(size, site_at(caller));

	if (!block.site)
		return counter_add(COUNTER_HEAP_LIVE_DROPPED, 1);
	/* The allocator has the address back, so its last block was freed behind our back. */
	if (live_maybe(p) && live_remove(p, &stale))
		heap_freed(stale);
	count_alloc(&block);
	if (!live_add(p, block))
		heap_freed(block);
	counter_add(COUNTER_HEAP_SAMPLES, 1);
}

void heap_record(const void *p, size_t size, struct frame_regs caller)
{
	inside = true;
	record(p, size, caller);
	inside = false;
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

/* As a hook would have cut it, so that both ways lead to one record. */
static uint32_t limited(struct walk *w)
{
	if (w->depth < SITE_DEPTH_MAX)
		return w->depth;
	w->pc[SITE_DEPTH_MAX - 1] = PSEUDO_TRUNCATED;
	return SITE_DEPTH_MAX;
}

static struct site *site_of_capture(const struct capture *c)
{
	static const uint64_t unknown = PSEUDO_UNKNOWN;
	uint32_t depth;

	if (!code_is_fresh())
		code_refresh();
	walk_capture(c, &heap.walk);
	depth = limited(&heap.walk);
	/* Something was unloaded since: an address may be of what came after it. */
	if (c->site->generation != code_unloads() || !code_is_fresh()) {
		counter_add(COUNTER_HEAP_STACKS_UNKNOWN, 1);
		return site_of(&unknown, 1, 0);
	}
	return site_of(heap.walk.pc, depth, modules_generation());
}

static void finish(const struct capture *c)
{
	struct site *known = site_of_capture(c);

	if (known)
		site_resolve(c->site, known);
}

static void drain(struct heap_ring *r)
{
	const struct capture *c;

	if (atomic_load(&r->state) != 2)
		return;
	if (ring_front(&r->ring) || !code_is_fresh())
		code_refresh();
	while ((c = ring_front(&r->ring))) {
		finish(c);
		ring_pop(&r->ring);
	}
	ring_rewind(&r->ring);
}

void heap_drain(void)
{
	if (!heap_is_on())
		return;
	drain(&heap.small);
	drain(&heap.large);
}

static uint64_t get(const atomic_uint_fast64_t *total)
{
	return atomic_load_explicit(total, memory_order_relaxed);
}

/* free first: what is freed in between was allocated before, so that in-use is never negative. */
static void add_values(struct stack *to, const struct site *s)
{
	uint64_t free_blocks = get(&s->free_blocks), free_bytes = get(&s->free_bytes);
	uint64_t alloc_blocks, alloc_bytes;

	atomic_thread_fence(memory_order_seq_cst);
	alloc_blocks = get(&s->alloc_blocks);
	alloc_bytes = get(&s->alloc_bytes);
	to->value[HEAP_VALUE_ALLOC_OBJECTS] += (int64_t)alloc_blocks;
	to->value[HEAP_VALUE_ALLOC_BYTES] += (int64_t)alloc_bytes;
	to->value[HEAP_VALUE_INUSE_OBJECTS] += (int64_t)(alloc_blocks - free_blocks);
	to->value[HEAP_VALUE_INUSE_BYTES] += (int64_t)(alloc_bytes - free_bytes);
}

static void add_site(struct site *s, void *table)
{
	static const uint64_t unknown = PSEUDO_UNKNOWN;
	struct site *known = atomic_load_explicit(&s->resolved, memory_order_acquire);
	const struct site *named = known ? known : s;
	struct stack *to;

	if (get(&s->alloc_blocks) == 0)
		return;
	if (named->depth)
		to = stack_table_add(table, named->pc, named->depth, named->generation);
	else
		to = stack_table_add(table, &unknown, 1, 0);
	if (to)
		add_values(to, s);
}

/* Only the sum of a stack's records is rounded: rounding each would add up. */
static void round_objects(int64_t *value)
{
	*value = (*value + (int64_t)WEIGHT_ONE / 2) / (int64_t)WEIGHT_ONE;
}

void heap_snapshot(struct stack_table *t)
{
	code_refresh();
	heap_drain();
	sites_each(add_site, t);
	for (size_t i = 0; i < t->count; i++) {
		round_objects(&t->list[i]->value[HEAP_VALUE_ALLOC_OBJECTS]);
		round_objects(&t->list[i]->value[HEAP_VALUE_INUSE_OBJECTS]);
	}
}
