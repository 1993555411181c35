/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * Shell patterns: * ? [abc] [a-z] [!a] and backslash.  libc's fnmatch asks the
 * locale, which an early constructor has no business to touch.
 *
 * Context: init.
 */
#ifndef SHIM_PATTERN_H
#define SHIM_PATTERN_H

#include <stdbool.h>

/* Whether `pattern` matches all of `text`.  An unclosed [ is an ordinary character. */
bool pattern_matches(const char *pattern, const char *text);

#endif
