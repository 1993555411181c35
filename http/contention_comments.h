/* http: the server and its pages.  May include proto and below. */
/*
 * What is missing in a block or mutex profile, in sentences: readers show a profile's
 * comments, and few look at the counters.
 *
 * Context: listener.
 */
#ifndef HTTP_CONTENTION_COMMENTS_H
#define HTTP_CONTENTION_COMMENTS_H

#include <stddef.h>

/* Valid until the next call of the same function; *count may become 0. */
const char *const *block_comments(size_t *count);
const char *const *mutex_comments(size_t *count);

#endif
