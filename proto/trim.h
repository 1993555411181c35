/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Takes frames off the leaf end of samples that say nothing: of allocation functions,
 * so that a profile shows who wanted the memory and not "operator new" everywhere, and
 * of libc's one way into the kernel, so that it shows which call was made.
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

/* As trim_operator_new(), for __syscall_cancel and what it calls, below write, poll, accept... */
void trim_cancellable_call(struct arena *a, struct message *m);

#endif
