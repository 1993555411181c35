#include "sampler/sites.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "sampler/counters.h"
#include "sampler/permanent.h"
#include "sampler/stacks.h"
#include "shim/cc.h"

/* About 100,000 stacks of 30 frames. */
#define SITES_BYTES (32UL << 20)
#define BUCKETS	    16384

/*
 * A program whose stacks are all of its own making (coroutines) would take one for
 * every sample; past this many it gets the leaf of each stack only.
 */
#define UNRESOLVED_MAX 65536

static struct permanent memory = { .limit = SITES_BYTES };
static struct site *_Atomic bucket[BUCKETS];
static struct site *_Atomic unresolved; /* newest first */

static uint64_t hash_of(const uint64_t *pc, uint32_t depth, uint32_t generation)
{
	uint64_t h = depth ^ (uint64_t)generation << 32;

	for (uint32_t i = 0; i < depth; i++)
		h = (h ^ pc[i]) * 0x9e3779b97f4a7c15ULL, h ^= h >> 29;
	return h;
}

static bool is_same(const struct site *s, uint64_t hash, const uint64_t *pc, uint32_t depth,
		    uint32_t generation)
{
	return s->hash == hash && s->depth == depth && s->generation == generation &&
	       memcmp(s->pc, pc, depth * sizeof(*pc)) == 0;
}

static struct site *new_site(const uint64_t *pc, uint32_t depth, uint32_t generation)
{
	struct site *s = permanent_alloc(&memory, sizeof(*s) + depth * sizeof(*pc));

	if (!s)
		return NULL;
	s->generation = generation;
	s->depth = depth;
	memcpy(s->pc, pc, depth * sizeof(*pc));
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

static struct site *find(struct site *_Atomic *list, uint64_t hash, const uint64_t *pc,
			 uint32_t depth, uint32_t generation)
{
	struct site *s = atomic_load_explicit(list, memory_order_acquire);

	while (s && !is_same(s, hash, pc, depth, generation))
		s = atomic_load_explicit(&s->next, memory_order_acquire);
	return s;
}

/* Two threads may add the same stack at once; reports merge the twins. */
static struct site *find_or_add(const uint64_t *pc, uint32_t depth, uint32_t generation)
{
	uint64_t hash = hash_of(pc, depth, generation);
	struct site *_Atomic *list = &bucket[hash % BUCKETS];
	struct site *s = find(list, hash, pc, depth, generation);

	if (s)
		return s;
	s = new_site(pc, depth, generation);
	if (!s)
		return NULL;
	s->hash = hash;
	push(list, s);
	return s;
}

struct site *site_of(const uint64_t *pc, uint32_t depth, uint32_t generation)
{
	static const uint64_t other = PSEUDO_OTHER;
	static struct site *_Atomic rest;
	struct site *s = find_or_add(pc, depth, generation);

	if (s)
		return s;
	counter_add(COUNTER_HEAP_SITES_FOLDED, 1);
	s = atomic_load_explicit(&rest, memory_order_acquire);
	if (!s) {
		static _Alignas(struct site) char room[sizeof(struct site) + sizeof(other)];

		s = (struct site *)room;
		s->depth = 1;
		memcpy(s->pc, &other, sizeof(other));
		atomic_store_explicit(&rest, s, memory_order_release);
		push(&bucket[0], s);
	}
	return s;
}

struct site *site_unresolved(void)
{
	static atomic_uint given;
	struct site *s = NULL;

	if (atomic_fetch_add_explicit(&given, 1, memory_order_relaxed) < UNRESOLVED_MAX)
		s = permanent_alloc(&memory, sizeof(*s));
	if (s)
		push(&unresolved, s);
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

void sites_each(void (*fn)(struct site *s, void *arg), void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++)
		each_in(&bucket[i], fn, arg);
	each_in(&unresolved, fn, arg);
}
