/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Block and mutex profiles as text, as Go writes them.  Values are estimates
 * already, in nanoseconds: the header says so in the only way readers know, a
 * clock of 10^9 cycles a second and a period of 1.
 *
 * Context: listener.
 */
#ifndef PROTO_CONTENTION_TEXT_H
#define PROTO_CONTENTION_TEXT_H

#include "proto/encode.h"

/* Longest delay first.  They return 0, or -1 when memory ran out. */
int block_text(struct arena *a, const struct message *m, struct bytes *out);
int mutex_text(struct arena *a, const struct message *m, struct bytes *out);

#endif
