/* proto: profiles as files and as text.  May include threads and below. */
/*
 * What each name of a message has: where stacks end, and with all that it calls, once a
 * stack.
 *
 * Context: listener.
 */
#ifndef PROTO_NAME_SUMS_H
#define PROTO_NAME_SUMS_H

#include "proto/name_stacks.h"

struct name_sum {
	int64_t flat, cum;
	uint32_t last; /* the sample that was added last, + 1 */
};

struct name_sums {
	struct name_stacks stacks;
	struct name_sum *sum; /* by number of name */
};

/* Of value number `value`.  Returns 0, or -1 when memory ran out. */
int name_sums_of(struct arena *a, const struct message *m, size_t value, struct name_sums *out);

#endif
