/* http: the server and its pages.  May include proto and below. */
/*
 * Says in a profile which processes are in it, and which are not and why.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_COMMENTS_H
#define HTTP_TREE_COMMENTS_H

#include "http/tree.h"
#include "proto/build.h"

#define TREE_COMMENT_BYTES 4096 /* of one; longer ones are cut */

/* Appends them to the head's comments, in `a`, after all answers are in. */
void tree_comments(const struct tree_request *t, struct arena *a, struct profile_head *head);

/* It is a member now. */
bool tree_is_joined(int pid);

/* Why `p`, which did not answer, is not in it: a clause.  The second: NULL where it is a guess. */
const char *tree_why_not_in(const struct process *p);
const char *tree_known_why_not_in(const struct process *p);

#endif
