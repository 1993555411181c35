/*
 * Takes the frames of allocation functions off the leaf end of samples, so that
 * a profile shows who wanted the memory and not "operator new" everywhere.
 *
 * Context: listener.
 */
#ifndef PROTO_TRIM_H
#define PROTO_TRIM_H

#include "proto/message.h"

/*
 * Drops leading operator new frames of every sample of `m`, never a sample's
 * last frame.  Changes the samples in place.
 */
void trim_operator_new(struct message *m);

#endif
