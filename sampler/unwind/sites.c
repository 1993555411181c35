#include "sampler/unwind/sites.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules_kept.h"
#include "sampler/unwind/stacks.h"

/*
 * Records of stacks that are not known yet, at a time: those on their way to the listener,
 * and those of blocks that are alive.  Past this many a stack is unknown.
 */
#define UNRESOLVED_MAX 65536

/* Who has an unresolved record. */
enum { HELD = 1, AWAITED = 2 };

static bool is_same(const struct site *s, uint32_t epoch, uint64_t hash, const uint64_t *frame,
		    uint32_t depth)
{
	return s->hash == hash && s->depth == depth && s->epoch == epoch &&
	       memcmp(s->frame, frame, depth * sizeof(*frame)) == 0;
}

/* Makes `s` the first of `list`.  release: who finds it sees it whole. */
static void push(struct site *_Atomic *list, struct site *s)
{
	struct site *first = atomic_load_explicit(list, memory_order_relaxed);

	do
		atomic_store_explicit(&s->next, first, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(list, &first, s, memory_order_release,
						      memory_order_relaxed));
}

/* For who looks for the latest only: other_sites.h. */
static void push_newest(struct site_table *t, struct site *s)
{
	struct site *first = atomic_load_explicit(&t->newest, memory_order_relaxed);

	do
		s->older = first;
	while (!atomic_compare_exchange_weak_explicit(&t->newest, &first, s, memory_order_release,
						      memory_order_relaxed));
}

static struct site *find_site(const struct site_table *t, uint64_t hash, const uint64_t *frame,
			      uint32_t depth)
{
	struct site *s =
		atomic_load_explicit(&t->bucket[hash % SITE_BUCKETS], memory_order_acquire);

	while (s && !is_same(s, t->epoch, hash, frame, depth))
		s = atomic_load_explicit(&s->next, memory_order_acquire);
	return s;
}

static bool may_label_one_more(struct site_table *t)
{
	bool may = atomic_load_explicit(&t->labelled, memory_order_relaxed) < SITES_LABELLED_MAX;

	if (may)
		atomic_fetch_add_explicit(&t->labelled, 1, memory_order_relaxed);
	else
		counter_add(COUNTER_LABELS_DROPPED, 1);
	return may;
}

/* [other stacks]: needs no memory but the table's own. */
static struct site *rest_of(struct site_table *t)
{
	static const uint64_t other = PSEUDO_OTHER;
	struct site *s = atomic_load_explicit(&t->rest, memory_order_acquire);

	if (s)
		return s;
	s = (struct site *)t->rest_room;
	s->epoch = t->epoch;
	s->depth = 1;
	memcpy(s->frame, &other, sizeof(other));
	/* of two threads that come here at once one puts it into a bucket */
	if (!atomic_exchange_explicit(&t->rest, s, memory_order_acq_rel)) {
		push(&t->bucket[0], s);
		push_newest(t, s);
	}
	return s;
}

static NOINLINE struct site *fill_site(struct site_table *t, struct site *s, uint64_t hash,
				       const uint64_t *frame, uint32_t depth)
{
	s->hash = hash;
	s->epoch = t->epoch;
	s->depth = depth;
	memcpy(s->frame, frame, depth * sizeof(*frame));
	modules_keep_frames(frame, depth);
	push(&t->bucket[hash % SITE_BUCKETS], s);
	push_newest(t, s);
	return s;
}

/*
 * Two threads may add the same stack at once; reports merge the twins.  One function jumps to
 * the next: the program's stack may be small.
 */
static NOINLINE struct site *add_site(struct site_table *t, uint64_t hash, const uint64_t *frame,
				      uint32_t depth)
{
	struct site *s = permanent_alloc(&t->memory, sizeof(*s) + depth * sizeof(*frame));

	if (s)
		return fill_site(t, s, hash, frame, depth);
	counter_add(t->full, 1);
	return rest_of(t);
}

struct site *site_of(struct site_table *t, const uint64_t *frame, uint32_t depth)
{
	uint64_t hash = stack_hash(frame, depth);
	struct site *s = find_site(t, hash, frame, depth);

	if (UNLIKELY(!s && frames_labels(frame, depth) && !may_label_one_more(t))) {
		hash = stack_hash(frame, --depth); /* without its labels */
		s = find_site(t, hash, frame, depth);
	}
	return s ? s : add_site(t, hash, frame, depth);
}

/* A list is a version and, below it, an address: what left it and came back is another. */
#define VERSION_SHIFT 48

static struct site *first_of(uint64_t list)
{
	return (struct site *)(list & ((1UL << VERSION_SHIFT) - 1));
}

static uint64_t list_with(struct site *first, uint64_t old)
{
	return ((old >> VERSION_SHIFT) + 1) << VERSION_SHIFT | (uint64_t)first;
}

static struct site *take_spare(struct site_table *t)
{
	uint64_t old = atomic_load_explicit(&t->spare, memory_order_acquire), new;

	do {
		if (!first_of(old))
			return NULL;
		new = list_with(atomic_load_explicit(&first_of(old)->next, memory_order_relaxed),
				old);
	} while (!atomic_compare_exchange_weak_explicit(&t->spare, &old, new, memory_order_acquire,
							memory_order_acquire));
	return first_of(old);
}

static void give_spare(struct site_table *t, struct site *s)
{
	uint64_t old = atomic_load_explicit(&t->spare, memory_order_relaxed);

	do
		atomic_store_explicit(&s->next, first_of(old), memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&t->spare, &old, list_with(s, old),
						      memory_order_release, memory_order_relaxed));
}

struct site *site_unresolved(struct site_table *t)
{
	struct site *s = take_spare(t);

	if (!s && atomic_fetch_add_explicit(&t->unresolved_made, 1, memory_order_relaxed) <
			  UNRESOLVED_MAX)
		s = permanent_alloc(&t->memory, sizeof(*s));
	if (!s)
		return NULL;
	s->epoch = t->epoch;
	atomic_store_explicit(&s->state, HELD | AWAITED, memory_order_relaxed);
	push(&t->unresolved, s);
	return s;
}

/* release: who sees that nobody has it sees what was counted. */
static void let_go(struct site *s, unsigned who)
{
	atomic_fetch_and_explicit(&s->state, ~who, memory_order_release);
}

void site_resolve(struct site *s, struct site *known)
{
	atomic_store_explicit(&s->resolved, known, memory_order_release);
	let_go(s, AWAITED);
}

void site_unhold(struct site *s)
{
	let_go(s, HELD);
}

/*
 * `before`: which is before it, NULL: it was the first.  Returns which is before the next one
 * now, so that what others put there meanwhile is passed once and not for each.
 */
static struct site *take_out(struct site_table *t, struct site *before, struct site *s)
{
	struct site *next = atomic_load_explicit(&s->next, memory_order_relaxed), *first = s;

	if (!before && atomic_compare_exchange_strong(&t->unresolved, &first, next))
		return NULL;
	for (; !before || atomic_load_explicit(&before->next, memory_order_acquire) != s;)
		before = before ? atomic_load_explicit(&before->next, memory_order_acquire) : first;
	atomic_store_explicit(&before->next, next, memory_order_relaxed);
	return before;
}

static void move_totals(struct site *to, struct site *from)
{
	for (int i = 0; i < SITE_TOTALS_MAX; i++)
		site_add(to, i, atomic_exchange_explicit(&from->total[i], 0, memory_order_relaxed));
}

/* Nobody counts there any more.  What the parent counted stays apart. */
static bool is_free(const struct site *s, const struct site *known)
{
	return !atomic_load_explicit(&s->state, memory_order_acquire) && known->epoch == s->epoch;
}

/* In this order: a child that is forked in the middle has not this one, or all. */
static void hold(struct site_table *t, struct site *s)
{
	t->held_count++;
	atomic_store_explicit(&s->next, NULL, memory_order_relaxed);
	if (t->held)
		atomic_store_explicit(&t->held_last->next, s, memory_order_release);
	t->held_last = s;
	atomic_thread_fence(memory_order_release);
	if (!t->held)
		t->held = s;
}

static struct site *take_held(struct site_table *t)
{
	struct site *s = t->held;

	t->held = atomic_load_explicit(&s->next, memory_order_relaxed);
	t->held_count--;
	return s;
}

/* `s` is in no list. */
static void settle_or_hold(struct site_table *t, struct site *s)
{
	struct site *known = atomic_load_explicit(&s->resolved, memory_order_acquire);

	if (!is_free(s, known)) {
		hold(t, s);
		return;
	}
	move_totals(known, s);
	atomic_store_explicit(&s->resolved, NULL, memory_order_relaxed);
	give_spare(t, s);
}

static uint32_t settle_new(struct site_table *t)
{
	struct site *s = atomic_load_explicit(&t->unresolved, memory_order_acquire), *before = NULL;
	uint32_t looked = 0;

	for (struct site *next; s; s = next, looked++) {
		next = atomic_load_explicit(&s->next, memory_order_acquire);
		if (!atomic_load_explicit(&s->resolved, memory_order_acquire)) {
			before = s;
			continue;
		}
		before = take_out(t, before, s);
		settle_or_hold(t, s);
	}
	return looked;
}

static uint32_t settle_held(struct site_table *t, uint32_t most)
{
	uint32_t count = MIN(most, t->held_count);

	for (uint32_t i = 0; i < count && t->held; i++)
		settle_or_hold(t, take_held(t));
	return count;
}

void sites_settle(struct site_table *t)
{
	settle_new(t);
	settle_held(t, t->held_count);
}

uint32_t sites_settle_some(struct site_table *t)
{
	uint32_t looked = settle_new(t);

	return looked + settle_held(t, 2 * looked);
}

static void each_in(struct site *_Atomic *list, void (*fn)(struct site *s, void *arg), void *arg)
{
	struct site *s = atomic_load_explicit(list, memory_order_acquire);

	for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
		fn(s, arg);
}

void sites_each(struct site_table *t, void (*fn)(struct site *s, void *arg), void *arg)
{
	for (size_t i = 0; i < SITE_BUCKETS; i++)
		each_in(&t->bucket[i], fn, arg);
	each_in(&t->unresolved, fn, arg);
	for (struct site *s = t->held, *next; s; s = next) {
		next = atomic_load_explicit(&s->next, memory_order_relaxed);
		fn(s, arg);
	}
}

void sites_begin_epoch(struct site_table *t)
{
	t->epoch++;
	atomic_store_explicit(&t->labelled, 0, memory_order_relaxed);
}

static void clear_totals(struct site *s, void *unused)
{
	(void)unused;
	for (int i = 0; i < SITE_TOTALS_MAX; i++)
		atomic_store_explicit(&s->total[i], 0, memory_order_relaxed);
}

void sites_begin_anew(struct site_table *t)
{
	sites_each(t, clear_totals, NULL);
}
