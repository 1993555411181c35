/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Memory that hooks take and nobody gives back: a lock-free bump allocator over
 * chunks of our own, within a bound.  For tables that live as long as the
 * process and grow with what was seen, not with time.
 */
#ifndef SAMPLER_BASE_PERMANENT_H
#define SAMPLER_BASE_PERMANENT_H

#include <stdatomic.h>
#include <stddef.h>

struct permanent_chunk;

struct permanent {
	struct permanent_chunk *_Atomic chunk;
	atomic_size_t mapped; /* bytes of all chunks, perhaps a moment ago */
	size_t limit;
};

/* `bytes` of zeroed memory aligned to 8, or NULL at the limit.  Context: hook, listener. */
void *permanent_alloc(struct permanent *p, size_t bytes);

#endif
