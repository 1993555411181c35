#include "sampler/base/numbered.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/text.h"

static uint32_t hash_of(const void *bytes, uint32_t len)
{
	uint64_t h = text_hash_more(TEXT_HASH_INIT, bytes, len);

	return (uint32_t)(h ^ h >> 32);
}

static struct numbered *find_from(struct numbered *s, uint32_t hash, const void *bytes,
				  uint32_t len)
{
	while (s && !(s->hash == hash && s->len == len && memcmp(s->bytes, bytes, len) == 0))
		s = atomic_load_explicit(&s->next, memory_order_acquire);
	return s;
}

const struct numbered *numbered_find(const struct numbered_table *t, const void *bytes,
				     uint32_t len)
{
	uint32_t hash = hash_of(bytes, len);

	return find_from(
		atomic_load_explicit(&t->bucket[hash % NUMBERED_BUCKETS], memory_order_acquire),
		hash, bytes, len);
}

/* Each number is given once; one that another thread was faster with is never seen. */
static bool take_number(struct numbered_table *t, struct numbered *s)
{
	s->number = 1 + atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
	if (s->number > t->room)
		return false;
	/* release: who asks by number sees it whole */
	atomic_store_explicit(&t->list[s->number - 1], s, memory_order_release);
	return true;
}

static struct numbered *new_string(struct numbered_table *t, uint32_t hash, const void *bytes,
				   uint32_t len)
{
	bool is_full = atomic_load_explicit(&t->count, memory_order_relaxed) >= t->room;
	struct numbered *s = is_full ? NULL : permanent_alloc(t->memory, sizeof(*s) + len + 1);

	if (!s)
		return NULL;
	s->hash = hash;
	s->len = len;
	memcpy(s->bytes, bytes, len);
	return take_number(t, s) ? s : NULL;
}

/* The bucket is looked through again whenever somebody else has put something there. */
const struct numbered *numbered_add(struct numbered_table *t, const void *bytes, uint32_t len)
{
	uint32_t hash = hash_of(bytes, len);
	struct numbered *_Atomic *bucket = &t->bucket[hash % NUMBERED_BUCKETS];
	struct numbered *first = atomic_load_explicit(bucket, memory_order_acquire), *new = NULL;

	do {
		struct numbered *s = find_from(first, hash, bytes, len);

		if (s)
			return s;
		if (!new)
			new = new_string(t, hash, bytes, len);
		if (!new)
			return NULL;
		atomic_store_explicit(&new->next, first, memory_order_relaxed);
		/* release: who finds it sees it whole */
	} while (!atomic_compare_exchange_weak_explicit(bucket, &first, new, memory_order_release,
							memory_order_acquire));
	return new;
}

const struct numbered *numbered_at(const struct numbered_table *t, uint32_t number)
{
	return number && number <= t->room
		       ? atomic_load_explicit(&t->list[number - 1], memory_order_acquire)
		       : NULL;
}
