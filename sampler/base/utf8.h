/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Names out of files are any bytes; profiles demand UTF-8 and text formats
 * want one line a name.  Context: any role.
 */
#ifndef SAMPLER_BASE_UTF8_H
#define SAMPLER_BASE_UTF8_H

#include <stddef.h>

/*
 * Copies `len` bytes as valid UTF-8 without control characters: what is wrong
 * becomes U+FFFD, what does not fit into `size` is cut off whole characters.
 * Ends `to` with NUL and returns the length.
 */
size_t utf8_copy(char *to, size_t size, const char *from, size_t len);

#endif
