#include "sampler/base/permanent.h"

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys_map.h"

/* The first is all that most programs need, of each of these memories. */
#define FIRST_CHUNK_BYTES (64UL << 10)
#define CHUNK_BYTES	  (256UL << 10)

struct permanent_chunk {
	atomic_size_t used; /* may run past the end: then the chunk is full */
	size_t bytes;
	size_t mapped; /* bytes of all chunks up to this one */
};

#define HEADER_BYTES ALIGN_UP(sizeof(struct permanent_chunk), 16)

static void *take_bytes(struct permanent_chunk *c, size_t bytes)
{
	size_t at;

	if (!c || atomic_load_explicit(&c->used, memory_order_relaxed) > c->bytes)
		return NULL;
	at = atomic_fetch_add_explicit(&c->used, bytes, memory_order_relaxed);
	return at + bytes <= c->bytes ? (char *)c + at : NULL;
}

/* Another thread's chunk is as good as one of our own. */
static bool is_replaced(struct permanent *p, const struct permanent_chunk *full)
{
	return atomic_load_explicit(&p->chunk, memory_order_acquire) != full;
}

static bool replace(struct permanent *p, struct permanent_chunk *full, struct permanent_chunk *c,
		    size_t bytes, size_t mapped)
{
	atomic_init(&c->used, HEADER_BYTES);
	c->bytes = bytes;
	c->mapped = mapped;
	/* release: pairs with the acquire in permanent_alloc() */
	return atomic_compare_exchange_strong_explicit(&p->chunk, &full, c, memory_order_release,
						       memory_order_relaxed);
}

/*
 * What counts is what stays: were each of several threads to count its chunk before
 * it knows that, together they would refuse each other far below the limit.
 */
static bool add_chunk(struct permanent *p, struct permanent_chunk *full)
{
	size_t bytes = full ? CHUNK_BYTES : FIRST_CHUNK_BYTES;
	size_t mapped = (full ? full->mapped : 0) + bytes;
	struct permanent_chunk *c = NULL;

	if (mapped <= p->limit && !sandbox_is_noted())
		c = sys_map_kept(bytes);
	if (!c)
		return is_replaced(p, full);
	if (replace(p, full, c, bytes, mapped))
		atomic_store_explicit(&p->mapped, mapped, memory_order_relaxed);
	else
		sys_unmap_kept(c, bytes);
	return true;
}

void *permanent_alloc(struct permanent *p, size_t bytes)
{
	bytes = ALIGN_UP(bytes, 8);
	if (bytes > CHUNK_BYTES - HEADER_BYTES)
		return NULL;
	for (;;) {
		struct permanent_chunk *c = atomic_load_explicit(&p->chunk, memory_order_acquire);
		void *at = take_bytes(c, bytes);

		if (at)
			return at;
		if (!add_chunk(p, c)) {
			counter_add(COUNTER_ARENA_REFUSED, 1);
			return NULL;
		}
	}
}
