/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Memory of our own: a bump allocator over private mappings.  The target's
 * malloc never sees us, and one release gives everything back.
 *
 * An arena has one owner at a time and no lock.  Memory is zeroed and aligned
 * to 16.  `limit` bounds what it may map; past it (or when the kernel refuses)
 * allocations return NULL and counter `arena_refused` moves.
 */
#ifndef SAMPLER_BASE_ARENA_H
#define SAMPLER_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunk; /* newest; older ones hang behind it */
	size_t used;		   /* bytes of the newest chunk handed out */
	size_t mapped;		   /* bytes of all chunks */
	size_t limit;		   /* bytes this arena may map in all */
	bool kept;		   /* forked children have it too */
};

#define ARENA_INIT(bytes)                                                                          \
	{                                                                                          \
		.limit = (bytes)                                                                   \
	}

/*
 * Returns `bytes` of zeroed memory, valid until arena_release(), or NULL.
 * Context: listener, init.
 */
void *arena_alloc(struct arena *a, size_t bytes);

/* Like arena_alloc() for `count` items of `size`; an overflow is a refusal. */
void *arena_array(struct arena *a, size_t count, size_t size);

/*
 * Grows the block at `p` from `old` to `bytes`: in place when it is the newest
 * and there is room, else by copy (the old block stays allocated).
 */
void *arena_grow(struct arena *a, void *p, size_t old, size_t bytes);

/* Copies `len` bytes and ends them with NUL. */
char *arena_strndup(struct arena *a, const char *s, size_t len);

/* Gives every mapping back; the arena is empty and usable again. */
void arena_release(struct arena *a);

#endif
