/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Profiles that count things (threads, their creation) as text: debug=1.
 *
 * Context: listener.
 */
#ifndef PROTO_COUNT_TEXT_H
#define PROTO_COUNT_TEXT_H

#include "proto/encode.h"

/*
 * Writes `m`, whose one value is a count, largest first; `name` is "goroutine" or
 * "threadcreate".  Returns 0, or -1 when memory ran out.
 */
int count_text(struct arena *a, const struct message *m, const char *name, struct bytes *out);

#endif
