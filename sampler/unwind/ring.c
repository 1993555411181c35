#include "sampler/unwind/ring.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/debug.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"

/* In front of every record.  `state` is zero until the record is committed. */
struct ring_header {
	atomic_uint state;
	uint32_t len; /* with this header */
	uint64_t unused;
};

enum { STATE_COMMITTED = 1, STATE_PAD = 2 };

#define HEADER_BYTES sizeof(struct ring_header)

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

void ring_touch(struct ring *r)
{
	for (uint64_t at = 0; at < REWIND_FROM(r); at += PAGE_BYTES)
		*(volatile uint8_t *)(r->bytes + at) = 0;
}

void ring_release(struct ring *r)
{
	if (r->bytes && r->kept)
		sys_unmap_kept(r->bytes, r->size);
	else if (r->bytes)
		sys_unmap(r->bytes, r->size);
	r->bytes = NULL;
}

static struct ring_header *header_at(const struct ring *r, uint64_t position)
{
	return (struct ring_header *)(r->bytes + (position & (r->size - 1)));
}

/* How much of the ring a record at `head` takes: with the pad, if it would wrap. */
static uint64_t span(const struct ring *r, uint64_t head, uint64_t len)
{
	uint64_t to_end = r->size - (head & (r->size - 1));

	return len <= to_end ? len : to_end + len;
}

/* release: pairs with the acquire in committed(); the record is whole before its state says so. */
static void commit(struct ring_header *h, unsigned state)
{
	atomic_store_explicit(&h->state, state, memory_order_release);
}

static void *place(struct ring *r, uint64_t head, uint64_t len, uint64_t taken)
{
	struct ring_header *h = header_at(r, head);

	if (taken > len) {
		h->len = (uint32_t)(taken - len);
		commit(h, STATE_PAD);
		h = header_at(r, head + taken - len);
	}
	h->len = (uint32_t)len;
	return h + 1;
}

static unsigned state_of(struct ring_header *h)
{
	return atomic_load_explicit(&h->state, memory_order_acquire);
}

void *ring_reserve(struct ring *r, size_t len)
{
	uint64_t need = ALIGN_UP(len + HEADER_BYTES, 16);
	/* acquire, here and below: after a rewind the tail follows the head */
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint64_t taken;

	if (need > r->size / 4)
		return NULL;
	do {
		/* acquire: what the consumer gave back is zeroed before we write there */
		uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);

		taken = span(r, head, need);
		if (head + taken - tail > r->size)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(
		&r->head, &head, head + taken, memory_order_acquire, memory_order_acquire));
	return place(r, head, need, taken);
}

void ring_commit(void *record)
{
	ASSERT(state_of((struct ring_header *)record - 1) == 0);
	commit((struct ring_header *)record - 1, STATE_COMMITTED);
}

void *ring_front(struct ring *r)
{
	for (;;) {
		uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
		struct ring_header *h = header_at(r, tail);

		if (tail == atomic_load_explicit(&r->head, memory_order_relaxed))
			return NULL;
		switch (state_of(h)) {
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
	struct ring_header *h = header_at(r, tail);
	uint64_t len = h->len;

	ASSERT(tail != atomic_load_explicit(&r->head, memory_order_relaxed));
	ASSERT(state_of(h) && len >= HEADER_BYTES && len <= r->size);
	/* A child forked in the middle of this is to pop it again, not to read half of it. */
	commit(h, STATE_PAD);
	atomic_signal_fence(memory_order_seq_cst);
	memset(h + 1, 0, len - HEADER_BYTES);
	memset(h, 0, HEADER_BYTES);
	/* release: pairs with the acquire in ring_reserve() */
	atomic_store_explicit(&r->tail, tail + len, memory_order_release);
}

uint64_t ring_used(struct ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed) -
	       atomic_load_explicit(&r->tail, memory_order_relaxed);
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
	while (at != head && state_of(header_at(r, at)))
		at += header_at(r, at)->len;
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
	for (; at < head; at += header_at(r, at)->len)
		if (!state_of(header_at(r, at)) || !header_at(r, at)->len)
			return "ring: a record was reserved and never committed";
	if (at != head)
		return "ring: the last record goes on behind the head";
	return is_zero(r, head, tail + r->size) ? NULL : "ring: what is free is not zero";
}
