#include "sampler/unwind/ring.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/debug.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/unwind/ring_handler.h"

static int start_ring(struct ring *r, size_t size, void *bytes, bool kept)
{
	r->bytes = bytes;
	r->size = size;
	r->kept = kept;
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	return r->bytes ? 0 : -1;
}

int ring_init(struct ring *r, size_t size)
{
	return start_ring(r, size, sys_map(size), false);
}

int ring_init_kept(struct ring *r, size_t size)
{
	return start_ring(r, size, sys_map_kept(size), true);
}

/* Not for every handful of records; more than the largest one, so that a producer
 * that meets the new head with the old tail still finds room. */
#define REWIND_FROM(r) ((r)->size / 4)

/* Records may be on their way into it. */
void ring_touch(struct ring *r, uint64_t bytes)
{
	uint64_t limit = MIN(bytes, REWIND_FROM(r));

	for (uint64_t at = 0; at < limit; at += PAGE_BYTES)
		__atomic_fetch_or((uint8_t *)(r->bytes + at), 0, __ATOMIC_RELAXED);
}

void ring_release(struct ring *r)
{
	if (r->bytes && r->kept)
		sys_unmap_kept(r->bytes, r->size);
	else if (r->bytes)
		sys_unmap(r->bytes, r->size);
	r->bytes = NULL;
}

void *ring_front(struct ring *r)
{
	for (;;) {
		uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
		struct ring_header *h = ring_header_at(r, tail);

		if (tail == atomic_load_explicit(&r->head, memory_order_relaxed))
			return NULL;
		switch (ring_state(h)) {
		case STATE_COMMITTED:
			return h + 1;
		case STATE_PAD:
			ring_pop(r);
			continue;
		default:
			return NULL;
		}
	}
}

void ring_pop(struct ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	struct ring_header *h = ring_header_at(r, tail);
	uint64_t len = h->len;

	ASSERT(tail != atomic_load_explicit(&r->head, memory_order_relaxed));
	ASSERT(ring_state(h) && len >= HEADER_BYTES && len <= r->size);
	/* A child forked in the middle of this is to pop it again, not to read half of it. */
	ring_mark(h, STATE_PAD);
	atomic_signal_fence(memory_order_seq_cst);
	memset(h + 1, 0, len - HEADER_BYTES);
	memset(h, 0, HEADER_BYTES);
	/* release: pairs with the acquire in ring_reserve() */
	atomic_store_explicit(&r->tail, tail + len, memory_order_release);
}

void ring_rewind(struct ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint64_t start = ALIGN_UP(head, r->size);

	if (ring_used(r) || (head & (r->size - 1)) < REWIND_FROM(r))
		return;
	/* What was popped is zeroed already; a producer that was faster keeps the ring as it is. */
	if (atomic_compare_exchange_strong_explicit(&r->head, &head, start, memory_order_release,
						    memory_order_relaxed))
		atomic_store_explicit(&r->tail, start, memory_order_release);
}

/* The first position from `at` on whose record is not whole. */
static uint64_t whole_until(struct ring *r, uint64_t at, uint64_t head)
{
	while (at != head && ring_state(ring_header_at(r, at)))
		at += ring_header_at(r, at)->len;
	return at;
}

/* Everywhere but in its records a ring is zero. */
static void clear(struct ring *r, uint64_t from, uint64_t to)
{
	for (; from != to; from++)
		r->bytes[from & (r->size - 1)] = 0;
}

void ring_mend(struct ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint64_t whole = whole_until(r, tail, head);

	clear(r, whole, head);
	atomic_store_explicit(&r->head, whole, memory_order_relaxed);
}

static bool is_zero(const struct ring *r, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (r->bytes[from & (r->size - 1)])
			return false;
	return true;
}

const char *ring_check(struct ring *r)
{
	uint64_t at = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint64_t tail = at;

	if (!r->bytes)
		return NULL;
	if (head - tail > r->size)
		return "ring: more is used than there is";
	for (; at < head; at += ring_header_at(r, at)->len)
		if (!ring_state(ring_header_at(r, at)) || !ring_header_at(r, at)->len)
			return "ring: a record was reserved and never committed";
	if (at != head)
		return "ring: the last record goes on behind the head";
	return is_zero(r, head, tail + r->size) ? NULL : "ring: what is free is not zero";
}
