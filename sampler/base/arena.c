#include "sampler/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"

struct arena_chunk {
	struct arena_chunk *older;
	size_t bytes; /* of the whole mapping, this header included */
};

/* Chunks double, so that an arena of any size costs few mappings and wastes little. */
#define FIRST_CHUNK_BYTES   (64UL << 10)
#define LARGEST_CHUNK_BYTES (1UL << 20)
#define HEADER_BYTES	    ALIGN_UP(sizeof(struct arena_chunk), 16)

static size_t chunk_bytes_for(const struct arena *a, size_t bytes)
{
	size_t want = a->chunk ? MIN(a->chunk->bytes * 2, LARGEST_CHUNK_BYTES) : FIRST_CHUNK_BYTES;

	return MAX(want, ALIGN_UP(bytes + HEADER_BYTES, PAGE_BYTES));
}

static struct arena_chunk *add_chunk(struct arena *a, size_t bytes)
{
	size_t want = chunk_bytes_for(a, bytes);
	struct arena_chunk *c;

	if (want > a->limit - a->mapped)
		want = ALIGN_UP(bytes + HEADER_BYTES, PAGE_BYTES);
	if (want > a->limit - a->mapped)
		return NULL;
	c = a->kept ? sys_map_kept(want) : sys_map(want);
	if (!c)
		return NULL;
	c->older = a->chunk;
	c->bytes = want;
	a->chunk = c;
	a->used = HEADER_BYTES;
	a->mapped += want;
	return c;
}

static bool has_room(const struct arena *a, size_t bytes)
{
	return a->chunk && bytes <= a->chunk->bytes - a->used;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	void *p;

	if (bytes > a->limit) {
		counter_add(COUNTER_ARENA_REFUSED, 1);
		return NULL;
	}
	bytes = ALIGN_UP(MAX(bytes, 1UL), 16);
	if (!has_room(a, bytes) && !add_chunk(a, bytes)) {
		counter_add(COUNTER_ARENA_REFUSED, 1);
		return NULL;
	}
	p = (char *)a->chunk + a->used;
	a->used += bytes;
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX;
	return arena_alloc(a, bytes);
}

static bool is_newest(const struct arena *a, const void *p, size_t bytes)
{
	return p && a->chunk &&
	       (const char *)p + ALIGN_UP(MAX(bytes, 1UL), 16) == (char *)a->chunk + a->used;
}

void *arena_grow(struct arena *a, void *p, size_t old, size_t bytes)
{
	size_t extra = ALIGN_UP(MAX(bytes, 1UL), 16) - ALIGN_UP(MAX(old, 1UL), 16);
	void *bigger;

	if (bytes <= old)
		return p;
	if (is_newest(a, p, old) && bytes <= a->limit && has_room(a, extra)) {
		a->used += extra;
		return p;
	}
	bigger = arena_alloc(a, bytes);
	if (bigger && p)
		memcpy(bigger, p, old);
	return bigger;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

void arena_release(struct arena *a)
{
	while (a->chunk) {
		struct arena_chunk *c = a->chunk;

		a->chunk = c->older;
		if (a->kept)
			sys_unmap_kept(c, c->bytes);
		else
			sys_unmap(c, c->bytes);
	}
	a->used = 0;
	a->mapped = 0;
}
