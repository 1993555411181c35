/* http: the server and its pages.  May include proto and below. */
/*
 * What members say about their part of a profile, as comments of the whole: each sentence
 * once, with whose it is.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_SAID_H
#define HTTP_TREE_SAID_H

#include <stddef.h>

#include "proto/build.h"
#include "proto/share.h"
#include "sampler/base/arena.h"

#define SAID_MAX 16 /* sentences; of more their number is told */

struct tree_said {
	struct said {
		const char *sentence;
		const char *process; /* who said it first */
		int pid;
		size_t others; /* who said the same */
	} list[SAID_MAX];
	size_t count, left_out;
};

/* One sentence, and all that a member said; what is kept is copied into `a`. */
void tree_said_one(struct tree_said *t, struct arena *a, int pid, const char *process,
		   const char *sentence);
void tree_said_add(struct tree_said *t, struct arena *a, int pid, const char *process,
		   const struct share_result *of);

/* Behind the comments of the head. */
void tree_said_tell(const struct tree_said *t, struct arena *a, struct profile_head *head);

#endif
