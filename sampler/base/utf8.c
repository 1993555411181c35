#include "sampler/base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char REPLACEMENT[] = "\xef\xbf\xbd";

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes that the first byte asks for; 0 for one that begins nothing. */
static size_t length_by_first(unsigned char c)
{
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The second byte rules out overlong forms, surrogates and what is past U+10FFFF. */
static bool second_fits(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0;
	case 0xed:
		return second < 0xa0;
	case 0xf0:
		return second >= 0x90;
	case 0xf4:
		return second < 0x90;
	default:
		return true;
	}
}

/* The length of the valid character at `s`, or 0. */
static size_t character(const unsigned char *s, size_t len)
{
	size_t n = length_by_first(s[0]);

	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (!is_tail(s[i]))
			return 0;
	return n < 2 || second_fits(s[0], s[1]) ? n : 0;
}

size_t utf8_copy(char *to, size_t size, const char *from, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		size_t n = character((const unsigned char *)from + i, len - i);
		size_t out = n ? n : sizeof(REPLACEMENT) - 1;

		if (out > size - 1 - used)
			break;
		memcpy(to + used, n ? from + i : REPLACEMENT, out);
		used += out;
		i += n ? n : 1;
	}
	to[used] = '\0';
	return used;
}
