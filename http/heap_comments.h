/* http: the server and its pages.  May include proto and below. */
/*
 * What a heap profile says besides its samples: how much memory the process has
 * beside what was found in use, and what of its allocations the hooks do not see.
 *
 * Context: listener.
 */
#ifndef HTTP_HEAP_COMMENTS_H
#define HTTP_HEAP_COMMENTS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The sentences for a profile with so many bytes in use; their number goes to
 * *count.  They live until the next call.
 */
const char *const *heap_comments(int64_t inuse_bytes, size_t *count);

/* The same of one of when most was in use. */
struct heap_peak;
const char *const *heap_comments_of_peak(const struct heap_peak *found, int64_t bytes,
					 size_t *count);

/* The same of one that has only blocks of this age. */
const char *const *heap_comments_of_older(int64_t seconds, size_t *count);

#endif
