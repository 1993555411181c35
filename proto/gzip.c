/*
 * gzip by zlib, which gets its memory from the arena and gives none back: the
 * arena is released as a whole.
 *
 * The level: of a profile of 15,000 stacks (3.9 MB), level 1 makes 977 kB in
 * 36 ms, level 3 949 kB in 37 ms, level 6 914 kB in 108 ms.
 */
#include <limits.h>
#include <zlib.h>

#include "proto/encode.h"

#define GZIP_LEVEL	 3
#define WINDOW_BITS_GZIP (15 + 16) /* zlib's way to ask for a gzip header */
#define MEM_LEVEL	 8	   /* zlib's default */

static void *from_arena(void *arena, unsigned items, unsigned size)
{
	return arena_array(arena, items, size);
}

static void keep(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

/* Without a header of our own, zlib writes one without name and time: same input, same bytes. */
static int start_stream(z_stream *z, struct arena *a)
{
	*z = (z_stream){ .zalloc = from_arena, .zfree = keep, .opaque = a };
	return deflateInit2(z, GZIP_LEVEL, Z_DEFLATED, WINDOW_BITS_GZIP, MEM_LEVEL,
			    Z_DEFAULT_STRATEGY);
}

/* Profiles shrink to less than half; a surprise makes room for the worst case. */
static int deflate_all(z_stream *z, struct arena *a, size_t room, struct bytes *out)
{
	size_t worst = deflateBound(z, z->avail_in);
	uint8_t *at = arena_alloc(a, room);
	int result;

	if (!at)
		return -1;
	z->next_out = at;
	z->avail_out = (unsigned)room;
	result = deflate(z, Z_FINISH);
	if (result == Z_OK) {
		at = arena_grow(a, at, room, room + worst);
		if (!at)
			return -1;
		z->next_out = at + room;
		z->avail_out = (unsigned)worst;
		result = deflate(z, Z_FINISH);
	}
	*out = (struct bytes){ at, z->total_out };
	return result == Z_STREAM_END ? 0 : -1;
}

int encode_gzip(struct arena *a, struct bytes in, struct bytes *out)
{
	z_stream z;

	if (in.len > INT_MAX || start_stream(&z, a) != Z_OK)
		return -1;
	z.next_in = (Bytef *)(uintptr_t)in.at;
	z.avail_in = (unsigned)in.len;
	return deflate_all(&z, a, in.len / 2 + 1024, out);
}

int encode_gunzip(struct arena *a, struct bytes in, size_t len, struct bytes *out)
{
	z_stream z = { .zalloc = from_arena, .zfree = keep, .opaque = a };
	uint8_t *at = arena_alloc(a, len);

	if (!at || inflateInit2(&z, WINDOW_BITS_GZIP) != Z_OK)
		return -1;
	z.next_in = (Bytef *)(uintptr_t)in.at;
	z.avail_in = (unsigned)in.len;
	z.next_out = at;
	z.avail_out = (unsigned)len;
	if (inflate(&z, Z_FINISH) != Z_STREAM_END || z.avail_out)
		return -1;
	*out = (struct bytes){ at, len };
	return 0;
}
