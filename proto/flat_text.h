/* proto: profiles as files and as text.  May include threads and below. */
/*
 * What each function has, for programs that add several profiles up: a line for each of
 * its own value, that with callees, and its name, with a blank between them.
 *
 * Context: listener.
 */
#ifndef PROTO_FLAT_TEXT_H
#define PROTO_FLAT_TEXT_H

#include "proto/encode.h"

/* Writes about value number `value`.  Returns 0, or -1 when memory ran out. */
int flat_text(struct arena *a, const struct message *m, size_t value, struct bytes *out);

#endif
