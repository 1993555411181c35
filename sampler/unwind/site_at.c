#include "sampler/unwind/site_at.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/wake.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules.h"
#include "sampler/unwind/capture.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/hook_walk.h"
#include "sampler/unwind/retrace.h"
#include "sampler/unwind/ring.h"
#include "sampler/unwind/walk.h"

/* Stacks on their way to the listener. */
#define RING_BYTES	 (1UL << 20)
#define LARGE_RING_BYTES SITE_AT_RING_BYTES

/* heap, block, mutex, threadcreate */
#define TABLES_MAX 8

struct lazy_ring {
	struct ring ring;
	atomic_int state; /* 0: none, 1: being made, 2: there */
};

static struct {
	struct lazy_ring small, large;
	atomic_bool expect_many;
	struct walk walk;		      /* too large for the stack; listener only */
	struct site_table *table[TABLES_MAX]; /* that captures were of; listener only */
	size_t table_count;
} way;

void site_at_expect_many(void)
{
	atomic_store_explicit(&way.expect_many, true, memory_order_relaxed);
}

static bool make_ring(struct lazy_ring *r, size_t bytes)
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

static NOINLINE struct ring *ring_to_use(void)
{
	bool is_large = atomic_load_explicit(&way.expect_many, memory_order_relaxed);
	struct lazy_ring *r = is_large ? &way.large : &way.small;

	return make_ring(r, is_large ? LARGE_RING_BYTES : RING_BYTES) ? &r->ring : NULL;
}

static bool hand_over(struct site_table *t, struct site *site, uint64_t leaf,
		      const struct frame_regs *caller)
{
	struct ring *r = ring_to_use();
	bool is_alone = r && ring_used(r) == 0;
	struct capture *c = r ? capture_call(r, caller->pc - 1, caller->sp, caller->bp) : NULL;

	if (c) {
		c->sites = t;
		c->site = site;
		c->site_leaf = leaf;
		ring_commit(c);
	}
	if (!c || !is_alone)
		wake();
	return c != NULL;
}

/*
 * The stack cannot be known.  Its first frame can, if that is of code which is never
 * unloaded, or of which there is a row.
 */
#define FEW_FRAMES 4 /* leaf, caller, mark, labels */

static NOINLINE uint32_t caller_only(uint64_t *frame, uint64_t leaf, uint64_t pc)
{
	uint32_t number = (uint32_t)rows_find_in(pc).number, depth = 0;

	if (leaf)
		frame[depth++] = leaf;
	frame[depth++] = number ? modules_frame_here(number, pc) : pc;
	frame[depth++] = PSEUDO_TRUNCATED;
	if (label_set_mine)
		frame[depth++] = label_set_mine;
	return depth;
}

/*
 * A walk takes 1 KiB, and the program's stack may be small: so it has one of a few
 * places, of which the first is nearly always free.  A thread that never comes back
 * (in a forked child, those of its parent) keeps its place.
 */
#define WALK_PLACES 64

static struct {
	atomic_uint_fast64_t taken;
	struct hook_walk place[WALK_PLACES];
} walks;

/* NULL: none is free. */
static NOINLINE struct hook_walk *take_walk(void)
{
	uint64_t seen = atomic_load_explicit(&walks.taken, memory_order_relaxed);

	while (~seen) {
		int i = __builtin_ctzll(~seen);

		/* acquire: pairs with the release of the thread that had it before */
		if (atomic_compare_exchange_weak_explicit(&walks.taken, &seen, seen | 1ULL << i,
							  memory_order_acquire,
							  memory_order_relaxed))
			return &walks.place[i];
	}
	return NULL;
}

static NOINLINE void give_walk_back(const struct hook_walk *w)
{
	atomic_fetch_and_explicit(&walks.taken, ~(1ULL << (w - walks.place)), memory_order_release);
}

/* `waiting` (NULL: there is none) has what of it is known. */
static NOINLINE struct site *site_of_caller(struct site_table *t, uint64_t leaf,
					    const struct frame_regs *caller, struct site *waiting)
{
	uint64_t frame[FEW_FRAMES];
	struct site *known;

	counter_add(t->unknown, 1);
	known = site_of(t, frame, caller_only(frame, leaf, caller->pc - 1));
	if (waiting) {
		site_resolve(waiting, known);
		site_unhold(waiting);
	}
	return known;
}

/*
 * The stack is not known yet: a record of its own, and a copy of the stack for
 * the listener, who learns the addresses.  So this happens once for each.
 */
static NOINLINE struct site *unwalked_site(struct site_table *t, uint64_t leaf,
					   const struct frame_regs *caller)
{
	struct site *waiting = site_unresolved(t);

	if (waiting && hand_over(t, waiting, leaf, caller))
		return waiting;
	return site_of_caller(t, leaf, caller, waiting);
}

/* NULL: the walk found nothing, or had no place. */
static struct site *walked_site(struct site_table *t, uint64_t leaf,
				const struct frame_regs *caller)
{
	struct hook_walk *w = take_walk();
	struct site *site = NULL;

	if (!w) /* the listener has room for it */
		return NULL;
	if (hook_walk(leaf, caller, w))
		site = site_of(t, w->frame, w->depth);
	give_walk_back(w);
	return site;
}

/* One after the other, and not one in the other: the program's stack may be small. */
struct site *site_at(struct site_table *t, uint64_t leaf, const struct frame_regs *caller)
{
	struct site *site = walked_site(t, leaf, caller);

	return site ? site : unwalked_site(t, leaf, caller);
}

static bool has_pending(struct lazy_ring *r)
{
	return atomic_load(&r->state) == 2 && ring_used(&r->ring) != 0;
}

bool site_at_has_pending(void)
{
	return has_pending(&way.small) || has_pending(&way.large);
}

/* ---- the listener's part */

static void put_leaf(struct walk *w, uint64_t leaf)
{
	w->depth = MIN(w->depth, STACK_DEPTH_MAX - 1);
	memmove(w->pc + 1, w->pc, w->depth * sizeof(*w->pc));
	w->pc[0] = leaf;
	w->depth++;
}

/* As a hook would have cut it, so that both ways lead to one record. */
static uint32_t limited(struct walk *w)
{
	if (w->depth < SITE_DEPTH_MAX)
		return w->depth;
	w->pc[SITE_DEPTH_MAX - 1] = PSEUDO_TRUNCATED;
	return SITE_DEPTH_MAX;
}

void site_at_finish_walk(struct walk *w, uint64_t leaf)
{
	if (leaf)
		put_leaf(w, leaf);
	w->depth = limited(w);
}

static struct site *site_of_capture(const struct capture *c)
{
	if (!retrace(c, &way.walk))
		counter_add(c->sites->unknown, 1);
	site_at_finish_walk(&way.walk, c->site_leaf);
	walk_add_labels(&way.walk, c->labels);
	return site_of(c->sites, way.walk.pc, way.walk.depth);
}

/* What nobody has any more is free for the next. */
static void settle_all(void)
{
	for (size_t i = 0; i < way.table_count; i++)
		sites_settle_some(way.table[i]);
}

static void note_table(struct site_table *t)
{
	for (size_t i = 0; i < way.table_count; i++)
		if (way.table[i] == t)
			return;
	if (way.table_count < ARRAY_SIZE(way.table))
		way.table[way.table_count++] = t;
}

/* What is there when it begins: hooks may fill it faster.  Returns whether there is more. */
static bool drain_hook_ring(struct lazy_ring *r)
{
	uint64_t until = atomic_load(&r->ring.head);
	const struct capture *c;

	if (atomic_load(&r->state) != 2 || !ring_front(&r->ring))
		return false;
	code_refresh();
	while ((c = ring_front(&r->ring)) && atomic_load(&r->ring.tail) < until) {
		note_table(c->sites);
		site_resolve(c->site, site_of_capture(c));
		ring_pop(&r->ring);
	}
	ring_rewind(&r->ring);
	settle_all();
	return ring_front(&r->ring) != NULL;
}

bool site_at_drain(void)
{
	bool more;

	code_catch_up(); /* hooks use no rows until then */
	more = drain_hook_ring(&way.small);
	return drain_hook_ring(&way.large) || more;
}

#define DRAINS_MAX 100

void site_at_drain_all(void)
{
	for (int i = 0; i < DRAINS_MAX && site_at_drain(); i++)
		;
}

const struct ring *site_at_ring_place(int which)
{
	return which ? &way.large.ring : &way.small.ring;
}

/* A ring that was being made is made anew; what was in one is whole or not there. */
static void ring_after_fork(struct lazy_ring *r)
{
	if (atomic_load(&r->state) == 2)
		ring_mend(&r->ring);
	else
		atomic_store(&r->state, 0);
}

void site_at_after_fork(void)
{
	ring_after_fork(&way.small);
	ring_after_fork(&way.large);
}

/* ---- reports */

struct snapshot {
	struct stack_table *out;
	uint32_t since;
	void (*values)(const struct site *s, int64_t *value);
	bool (*is_first)(const struct site *s);
	bool is_second_round;
};

/* Each is listed once, whatever it says the second time: hooks go on counting. */
static bool is_its_round(const struct snapshot *snapshot, struct site *s)
{
	if (snapshot->is_second_round)
		return !(atomic_fetch_and_explicit(&s->state, ~SITE_LISTED, memory_order_relaxed) &
			 SITE_LISTED);
	if (!snapshot->is_first)
		return true;
	if (!snapshot->is_first(s))
		return false;
	atomic_fetch_or_explicit(&s->state, SITE_LISTED, memory_order_relaxed);
	return true;
}

static void add_site(struct site *s, void *arg)
{
	static const uint64_t unknown = PSEUDO_UNKNOWN;
	const struct snapshot *snapshot = arg;
	struct site *known = atomic_load_explicit(&s->resolved, memory_order_acquire);
	const struct site *named = known ? known : s;
	struct stack *to;

	if (site_get(s, 0) == 0 || s->epoch < snapshot->since || !is_its_round(snapshot, s))
		return;
	if (named->depth)
		to = stack_table_add(snapshot->out, named->frame, named->depth);
	else
		to = stack_table_add(snapshot->out, &unknown, 1);
	if (to)
		snapshot->values(s, to->value);
}

void sites_snapshot(struct site_table *t, struct stack_table *out, uint32_t since,
		    void (*values)(const struct site *s, int64_t *value),
		    bool (*is_first)(const struct site *s))
{
	struct snapshot snapshot = { out, since, values, is_first, false };

	code_refresh();
	site_at_drain_all();
	sites_settle(t);
	sites_each(t, add_site, &snapshot);
	snapshot.is_second_round = true;
	if (is_first)
		sites_each(t, add_site, &snapshot);
}
