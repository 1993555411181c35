/* proto: profiles as files and as text.  May include threads and below. */
/*
 * What share of a profile stands under [other stacks]: readers that hide small nodes, or
 * show one stack, do not show that.
 *
 * Context: listener.
 */
#ifndef PROTO_OTHER_SHARE_H
#define PROTO_OTHER_SHARE_H

#include "proto/message.h"
#include "sampler/base/arena.h"
#include "sampler/unwind/stacks.h"

/* A sentence in `a`, or NULL where there was room for all.  `type` are those of the values. */
const char *other_share(struct arena *a, const struct stack_table *t,
			const struct message_value_type *type, size_t count);

#endif
