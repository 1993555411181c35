/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Takes the frames of allocation functions off the leaf end of samples, so that
 * a profile shows who wanted the memory and not "operator new" everywhere.
 *
 * Context: listener.
 */
#ifndef PROTO_TRIM_H
#define PROTO_TRIM_H

#include "proto/message.h"
#include "sampler/base/arena.h"

/*
 * Drops leading operator new frames of every sample of `m`, never a sample's
 * last frame; `m` gets samples of its own, in `a`.  Without memory for them it
 * stays as it is.
 */
void trim_operator_new(struct arena *a, struct message *m);

#endif
