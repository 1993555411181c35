#include "sampler/base/pattern.h"

#include <stddef.h>
#include <string.h>

/* One member of a set, at **p: a character or a range.  Moves *p behind it. */
static bool member_matches(const char **p, char c)
{
	unsigned char low = (unsigned char)*(*p)++, high = low;

	if ((*p)[0] == '-' && (*p)[1] && (*p)[1] != ']') {
		high = (unsigned char)(*p)[1];
		*p += 2;
	}
	return (unsigned char)c >= low && (unsigned char)c <= high;
}

/* A set whose '[' is at *p.  Moves *p behind its ']'. */
static bool set_matches(const char **p, char c)
{
	const char *s = *p + 1;
	bool negated = *s == '!' || *s == '^', found = false;

	s += negated;
	do
		found |= member_matches(&s, c);
	while (*s != ']');
	*p = s + 1;
	return found != negated;
}

/* A ']' right behind '[' or '[!' is a member. */
static bool set_is_closed(const char *p)
{
	p++;
	p += *p == '!' || *p == '^';
	return *p && strchr(p + 1, ']');
}

/* Matches one character against the head of the pattern and moves the pattern on. */
static bool one_matches(const char **pattern, char c)
{
	const char *p = *pattern;

	if (*p == '[' && set_is_closed(p))
		return set_matches(pattern, c);
	*pattern = p + 1;
	if (*p == '?')
		return true;
	if (*p == '\\' && p[1]) {
		*pattern = p + 2;
		return p[1] == c;
	}
	return *p == c;
}

/* Goes back only to the last '*', so no pattern takes more than pattern times text steps. */
bool pattern_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *star_text = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			star_text = text;
		} else if (*pattern && one_matches(&pattern, *text)) {
			text++;
		} else if (star) {
			pattern = star;
			text = ++star_text;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
