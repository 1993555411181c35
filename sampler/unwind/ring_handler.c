/* Handler path; see capture_handler.c.  The side of a ring that fills it. */
#include "sampler/unwind/ring_handler.h"
#include "sampler/base/cc.h"
#include "sampler/base/debug.h"

/* How much of the ring a record at `head` takes: with the pad, if it would wrap. */
static uint64_t span(const struct ring *r, uint64_t head, uint64_t len)
{
	uint64_t to_end = r->size - (head & (r->size - 1));

	return len <= to_end ? len : to_end + len;
}

static void *place(struct ring *r, uint64_t head, uint64_t len, uint64_t taken)
{
	struct ring_header *h = ring_header_at(r, head);

	if (taken > len) {
		h->len = (uint32_t)(taken - len);
		ring_mark(h, STATE_PAD);
		h = ring_header_at(r, head + taken - len);
	}
	h->len = (uint32_t)len;
	return h + 1;
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
		&r->head, &head, head + taken, memory_order_seq_cst, memory_order_acquire));
	return place(r, head, need, taken);
}

void ring_commit(void *record)
{
	ASSERT(ring_state((struct ring_header *)record - 1) == 0);
	ring_mark((struct ring_header *)record - 1, STATE_COMMITTED);
}

uint64_t ring_used(struct ring *r)
{
	/* seq_cst: pairs with that in ring_reserve(), see code_stamp_in_ring() */
	return atomic_load(&r->head) - atomic_load_explicit(&r->tail, memory_order_relaxed);
}
