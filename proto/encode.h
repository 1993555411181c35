/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Writes a message as protobuf (protobuf-c) and as the gzip file that every
 * client expects.  Pure: bytes in, bytes out, no sockets, no globals.
 *
 * Context: listener.
 */
#ifndef PROTO_ENCODE_H
#define PROTO_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"
#include "sampler/base/arena.h"

struct bytes {
	const uint8_t *at;
	size_t len;
};

/*
 * Encodes `m`.  Strings are deduplicated, string_table[0] is "".  Bytes that
 * are not valid UTF-8 and control characters become U+FFFD: one invalid byte
 * makes Pyroscope drop a whole profile.  Returns 0 and the result in `out`,
 * living in `a`; -1 when memory ran out or an index points nowhere.
 */
int encode_message(struct arena *a, const struct message *m, struct bytes *out);

/* Compresses into a complete gzip member.  Returns like encode_message(). */
int encode_gzip(struct arena *a, struct bytes in, struct bytes *out);

/* Unpacks a gzip member of which `len` bytes are expected.  Returns like encode_message(). */
int encode_gunzip(struct arena *a, struct bytes in, size_t len, struct bytes *out);

#endif
