/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * How records lie in a ring: for its two sides, ring_handler.c and ring.c.
 */
#ifndef SAMPLER_UNWIND_RING_HANDLER_H
#define SAMPLER_UNWIND_RING_HANDLER_H

#include "sampler/unwind/ring.h"

/* In front of every record.  `state` is zero until the record is committed. */
struct ring_header {
	atomic_uint state;
	uint32_t len; /* with this header */
	uint64_t unused;
};

enum { STATE_COMMITTED = 1, STATE_PAD = 2 };

#define HEADER_BYTES sizeof(struct ring_header)

static inline struct ring_header *ring_header_at(const struct ring *r, uint64_t position)
{
	return (struct ring_header *)(r->bytes + (position & (r->size - 1)));
}

/* release: pairs with the acquire in ring_state(); the record is whole before its state says so. */
static inline void ring_mark(struct ring_header *h, unsigned state)
{
	atomic_store_explicit(&h->state, state, memory_order_release);
}

static inline unsigned ring_state(struct ring_header *h)
{
	return atomic_load_explicit(&h->state, memory_order_acquire);
}

#endif
