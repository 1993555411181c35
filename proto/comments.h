/* proto: profiles as files and as text.  May include threads and below. */
/* The comments of a profile: a list that several add to, of sentences that live elsewhere. */
#ifndef PROTO_COMMENTS_H
#define PROTO_COMMENTS_H

#include <stddef.h>

#include "sampler/base/arena.h"

/*
 * Puts `one` before the comment number `at` of *count (behind all: *count).  The new list
 * lives in `a`.  NULL: there is nothing to tell.  Returns 0, or -1 without memory: the list
 * is as it was.
 *
 * Context: listener.
 */
int comments_insert(struct arena *a, const char *const **list, size_t *count, size_t at,
		    const char *one);

#endif
