#include "http/slice.h"

#include <string.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

struct http_slice slice_from(struct http_slice s, size_t start)
{
	return (struct http_slice){ s.at + start, s.len - start };
}

bool slice_equals(struct http_slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

bool slice_starts_nocase(struct http_slice s, const char *text)
{
	size_t len = strlen(text);

	if (s.len < len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower(s.at[i]) != lower(text[i]))
			return false;
	return true;
}

bool slice_equals_nocase(struct http_slice s, const char *text)
{
	return s.len == strlen(text) && slice_starts_nocase(s, text);
}

static bool is_list_gap(char c)
{
	return c == ' ' || c == '\t' || c == ',' || c == ';';
}

bool slice_lists(struct http_slice value, const char *token)
{
	size_t i = 0;

	while (i < value.len) {
		size_t start = i;

		while (i < value.len && !is_list_gap(value.at[i]))
			i++;
		if (slice_equals_nocase((struct http_slice){ value.at + start, i - start }, token))
			return true;
		i++;
	}
	return false;
}
