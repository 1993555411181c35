/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The stacks of a message as names of functions, root first: what is left of a profile
 * for who wants neither addresses nor lines.  A name has one number, whatever files and
 * instances it is of; inlined functions are frames as others; a run of one name that is
 * none ("[libx.so]") is one frame.
 *
 * Context: listener.
 */
#ifndef PROTO_NAME_STACKS_H
#define PROTO_NAME_STACKS_H

#include "proto/message.h"
#include "sampler/base/arena.h"

struct name_stacks {
	const char **name; /* by number */
	size_t name_count;
	uint32_t *frame; /* numbers of names; those of sample i lie at start[i] ... start[i + 1] - 1
			  */
	uint32_t *start;
	size_t count; /* of samples */
};

/* Returns 0, or -1 when memory ran out.  All lives in `a`; names are borrowed of `m`. */
int name_stacks_of(struct arena *a, const struct message *m, struct name_stacks *out);

#endif
