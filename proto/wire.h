/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Numbers and texts one behind the other, as members of a tree hand them to the one with
 * the port.  Both are on one machine, so numbers are as they lie in memory.
 *
 * The reader trusts nothing: what does not fit leaves it `bad`, and reads as 0 and "".
 *
 * Context: listener.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/encode.h"
#include "sampler/base/arena.h"

struct wire_writer {
	struct arena *arena;
	uint8_t *at;
	size_t len, room;
	bool failed; /* no memory: what is written is of no use */
};

void wire_put(struct wire_writer *w, const void *bytes, size_t len);
void wire_put_u32(struct wire_writer *w, uint32_t n);
void wire_put_u64(struct wire_writer *w, uint64_t n);
/* Its length, and its bytes. */
void wire_put_block(struct wire_writer *w, const void *bytes, size_t len);
void wire_put_text(struct wire_writer *w, const char *text);

struct wire_reader {
	const uint8_t *at, *limit;
	bool bad;
};

/* False, and zeros: there are not as many. */
bool wire_take(struct wire_reader *r, void *to, size_t len);
uint32_t wire_take_u32(struct wire_reader *r);
uint64_t wire_take_u64(struct wire_reader *r);

/* A count of things of at least `least` bytes each: more than can be there is bad. */
uint32_t wire_take_count(struct wire_reader *r, size_t least);

/* Where the block's bytes are, in what is read; their number goes to *len. */
const void *wire_take_block(struct wire_reader *r, size_t *len);

/* A text, cut at size - 1. */
void wire_take_text(struct wire_reader *r, char *to, size_t size);

#endif
