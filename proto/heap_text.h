/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The heap profile as text, the form that debug=1 asks for and that pprof reads
 * too.
 *
 * Context: listener.
 */
#ifndef PROTO_HEAP_TEXT_H
#define PROTO_HEAP_TEXT_H

#include "proto/encode.h"

/*
 * Writes `m`, a heap profile with its four values, largest in use first, and
 * the process's memory map behind it.  Values are estimates already, so the
 * header names a period of 1, which tells readers not to scale them again.
 * Returns 0, or -1 when memory ran out.
 */
int heap_text(struct arena *a, const struct message *m, struct bytes *out);

#endif
