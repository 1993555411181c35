/* http: the server and its pages.  May include proto and below. */
/*
 * Says in a wall-clock profile what it could not see.
 *
 * Context: listener.
 */
#ifndef HTTP_WALL_COMMENTS_H
#define HTTP_WALL_COMMENTS_H

#include "proto/build.h"
#include "sampler/wall/wall.h"

/* Sets the head's comments, in `a`. */
void wall_comments(const struct wall_summary *s, bool without_tids, struct arena *a,
		   struct profile_head *head);

#endif
