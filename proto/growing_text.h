/* proto: profiles as files and as text.  May include threads and below. */
/*
 * A text whose length is known when it is written: it is written again into more room
 * until it fits, or is as long as texts may be.
 *
 * Context: listener.
 */
#ifndef PROTO_GROWING_TEXT_H
#define PROTO_GROWING_TEXT_H

#include "proto/encode.h"
#include "sampler/base/text.h"

/*
 * Calls write(t, arg), which writes the same each time.  The result lives in `a`; what is
 * longer than 32 MiB is cut.  Returns 0, or -1 when memory ran out.
 */
int growing_text(struct arena *a, void (*write)(struct text *t, const void *arg), const void *arg,
		 struct bytes *out);

#endif
