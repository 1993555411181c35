#include "sampler/unwind/sites.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/unwind/stacks.h"

/*
 * A program whose stacks are all of its own making (coroutines) would take one for
 * every sample; past this many it gets the leaf of each stack only.
 */
#define UNRESOLVED_MAX 65536

static bool is_same(const struct site *s, uint32_t epoch, uint64_t hash, const uint64_t *frame,
		    uint32_t depth)
{
	return s->hash == hash && s->depth == depth && s->epoch == epoch &&
	       memcmp(s->frame, frame, depth * sizeof(*frame)) == 0;
}

static struct site *new_site(struct site_table *t, const uint64_t *frame, uint32_t depth)
{
	struct site *s = permanent_alloc(&t->memory, sizeof(*s) + depth * sizeof(*frame));

	if (!s)
		return NULL;
	s->epoch = t->epoch;
	s->depth = depth;
	memcpy(s->frame, frame, depth * sizeof(*frame));
	return s;
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

static struct site *find_site(const struct site_table *t, uint64_t hash, const uint64_t *frame,
			      uint32_t depth)
{
	struct site *s =
		atomic_load_explicit(&t->bucket[hash % SITE_BUCKETS], memory_order_acquire);

	while (s && !is_same(s, t->epoch, hash, frame, depth))
		s = atomic_load_explicit(&s->next, memory_order_acquire);
	return s;
}

/* Two threads may add the same stack at once; reports merge the twins. */
static struct site *find_or_add(struct site_table *t, const uint64_t *frame, uint32_t depth)
{
	uint64_t hash = stack_hash(frame, depth);
	struct site *s = find_site(t, hash, frame, depth);

	if (s)
		return s;
	s = new_site(t, frame, depth);
	if (!s)
		return NULL;
	s->hash = hash;
	push(&t->bucket[hash % SITE_BUCKETS], s);
	return s;
}

/* [other stacks]: needs no memory but the table's own. */
static struct site *rest_of(struct site_table *t)
{
	static const uint64_t other = PSEUDO_OTHER;
	struct site *s = atomic_load_explicit(&t->rest, memory_order_acquire);

	if (s)
		return s;
	s = (struct site *)t->rest_room;
	s->depth = 1;
	memcpy(s->frame, &other, sizeof(other));
	/* of two threads that come here at once one puts it into a bucket */
	if (!atomic_exchange_explicit(&t->rest, s, memory_order_acq_rel))
		push(&t->bucket[0], s);
	return s;
}

struct site *site_of(struct site_table *t, const uint64_t *frame, uint32_t depth)
{
	struct site *s = find_or_add(t, frame, depth);

	if (s)
		return s;
	counter_add(t->full, 1);
	return rest_of(t);
}

struct site *site_unresolved(struct site_table *t)
{
	struct site *s = NULL;

	if (atomic_fetch_add_explicit(&t->unresolved_given, 1, memory_order_relaxed) <
	    UNRESOLVED_MAX)
		s = permanent_alloc(&t->memory, sizeof(*s));
	if (!s)
		return NULL;
	s->epoch = t->epoch;
	push(&t->unresolved, s);
	return s;
}

void site_resolve(struct site *s, struct site *known)
{
	atomic_store_explicit(&s->resolved, known, memory_order_release);
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
}
