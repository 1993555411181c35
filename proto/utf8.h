/*
 * UTF-8 as strict readers want it: no overlong forms, no surrogates, nothing
 * beyond U+10FFFF.  One invalid byte makes Pyroscope drop a whole profile.
 *
 * Context: any role.
 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the text, ended with NUL, is valid. */
bool utf8_is_valid(const char *s);

/*
 * Copies `s` to `out` with U+FFFD for each byte that belongs to no valid
 * character, and ends it with NUL.  `out` has room for three bytes for each
 * byte of `s`, and the NUL.  Returns the length of the result.
 */
size_t utf8_repair(const char *s, char *out);

#endif
