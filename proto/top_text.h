/* proto: profiles as files and as text.  May include threads and below. */
/*
 * A profile for who has nothing but curl: the comments, the total, the functions that
 * have most, and the tree of calls.
 *
 * Context: listener.
 */
#ifndef PROTO_TOP_TEXT_H
#define PROTO_TOP_TEXT_H

#include "proto/encode.h"

/*
 * Writes about value number `value`.  What a function has for itself is where stacks end;
 * with its callees it is counted once a stack.  Returns 0, or -1 when memory ran out.
 */
int top_text(struct arena *a, const struct message *m, size_t value, struct bytes *out);

#endif
