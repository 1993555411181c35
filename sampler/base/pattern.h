/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Shell patterns: * ? [abc] [a-z] [!a] and backslash.  libc's fnmatch asks the
 * locale, which an early constructor has no business to touch.
 *
 * Context: init.
 */
#ifndef SAMPLER_BASE_PATTERN_H
#define SAMPLER_BASE_PATTERN_H

#include <stdbool.h>

/* Whether `pattern` matches all of `text`.  An unclosed [ is an ordinary character. */
bool pattern_matches(const char *pattern, const char *text);

#endif
