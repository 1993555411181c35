#include "sampler/permanent.h"

#include "sampler/counters.h"
#include "sampler/sandbox.h"
#include "sampler/sys.h"
#include "shim/cc.h"

#define CHUNK_BYTES (256UL << 10)

struct permanent_chunk {
	atomic_size_t used; /* may run past the end: then the chunk is full */
};

#define HEADER_BYTES ALIGN_UP(sizeof(struct permanent_chunk), 16)

static void *take(struct permanent_chunk *c, size_t bytes)
{
	size_t at;

	if (!c || atomic_load_explicit(&c->used, memory_order_relaxed) > CHUNK_BYTES)
		return NULL;
	at = atomic_fetch_add_explicit(&c->used, bytes, memory_order_relaxed);
	return at + bytes <= CHUNK_BYTES ? (char *)c + at : NULL;
}

/* Replaces the full chunk; when another thread was faster, its chunk is as good. */
static bool add_chunk(struct permanent *p, struct permanent_chunk *full)
{
	struct permanent_chunk *c;

	if (atomic_fetch_add_explicit(&p->mapped, CHUNK_BYTES, memory_order_relaxed) + CHUNK_BYTES >
	    p->limit)
		goto refuse;
	c = sandbox_is_noted() ? NULL : sys_map_kept(CHUNK_BYTES);
	if (!c)
		goto refuse;
	atomic_init(&c->used, HEADER_BYTES);
	/* release: pairs with the acquire in permanent_alloc() */
	if (atomic_compare_exchange_strong_explicit(&p->chunk, &full, c, memory_order_release,
						    memory_order_relaxed))
		return true;
	sys_unmap_kept(c, CHUNK_BYTES);
	atomic_fetch_sub_explicit(&p->mapped, CHUNK_BYTES, memory_order_relaxed);
	return true;
refuse:
	atomic_fetch_sub_explicit(&p->mapped, CHUNK_BYTES, memory_order_relaxed);
	return false;
}

void *permanent_alloc(struct permanent *p, size_t bytes)
{
	bytes = ALIGN_UP(bytes, 8);
	if (bytes > CHUNK_BYTES - HEADER_BYTES)
		return NULL;
	for (;;) {
		struct permanent_chunk *c = atomic_load_explicit(&p->chunk, memory_order_acquire);
		void *at = take(c, bytes);

		if (at)
			return at;
		if (!add_chunk(p, c))
			return counter_add(COUNTER_ARENA_REFUSED, 1), NULL;
	}
}
