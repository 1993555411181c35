#include "proto/utf8.h"

#include <stdint.h>
#include <string.h>

static bool is_tail(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/*
 * Length of the character at `s`, 0 if it is none.  Never reads past a NUL,
 * because a NUL is no tail byte.  The limits on the second byte shut out
 * overlong forms (e0, f0), surrogates (ed) and what is beyond U+10FFFF (f4).
 */
static size_t char_len(const uint8_t *s)
{
	uint8_t low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!is_tail(s[i]))
			return 0;
	return len;
}

/* Skips whole words of plain ASCII, which is what nearly all names are. */
static const uint8_t *skip_ascii(const uint8_t *s, const uint8_t *end)
{
	uint64_t word;

	for (; (size_t)(end - s) >= sizeof(word); s += sizeof(word)) {
		memcpy(&word, s, sizeof(word));
		if (word & 0x8080808080808080)
			break;
	}
	return s;
}

bool utf8_is_valid(const char *text)
{
	const uint8_t *s = (const uint8_t *)text;

	s = skip_ascii(s, s + strlen(text));
	while (*s) {
		size_t len = char_len(s);

		if (!len)
			return false;
		s += len;
	}
	return true;
}

size_t utf8_repair(const char *text, char *out)
{
	const uint8_t *s = (const uint8_t *)text;
	char *start = out;

	while (*s) {
		size_t len = char_len(s);

		memcpy(out, len ? (const char *)s : "\xef\xbf\xbd", len ? len : 3);
		out += len ? len : 3;
		s += len ? len : 1;
	}
	*out = '\0';
	return (size_t)(out - start);
}
