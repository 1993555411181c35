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

#endif
