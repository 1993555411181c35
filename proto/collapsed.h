/* proto: profiles as files and as text.  May include threads and below. */
/*
 * A profile as one line for each stack: the names from the root to the leaf with ';'
 * between them, a blank, and the value.  flamegraph.pl, inferno, speedscope and many
 * scripts read it.
 *
 * Context: listener.
 */
#ifndef PROTO_COLLAPSED_H
#define PROTO_COLLAPSED_H

#include "proto/encode.h"

/*
 * Writes value number `value` of each sample, samples without it left out.  A ';' or a
 * line break within a name becomes ':'.  Returns 0, or -1 when memory ran out.
 */
int collapsed_text(struct arena *a, const struct message *m, size_t value, struct bytes *out);

#endif
