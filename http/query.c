/* What a request asks behind '?'. */
#include <string.h>

#include "http/parse.h"
#include "sampler/base/number.h"

/* The byte that %XX at `i` stands for, or -1. */
static int percent_byte(struct http_slice in, size_t i)
{
	int high, low;

	if (in.len - i < 3 || in.at[i] != '%')
		return -1;
	high = number_digit(in.at[i + 1]);
	low = number_digit(in.at[i + 2]);
	return high < 0 || low < 0 || high + low == 0 ? -1 : high * 16 + low;
}

size_t http_decode(struct http_slice in, bool plus, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++, len++) {
		int byte = percent_byte(in, i);
		char c = byte >= 0 ? (char)byte : in.at[i];

		if (byte >= 0)
			i += 2;
		else if (plus && c == '+')
			c = ' ';
		if (len + 1 < size)
			out[len] = c;
	}
	out[len < size ? len : size - 1] = '\0';
	return len;
}

static struct http_slice upto(struct http_slice s, char end)
{
	const char *found = s.len ? memchr(s.at, end, s.len) : NULL;

	return found ? (struct http_slice){ s.at, (size_t)(found - s.at) } : s;
}

static bool key_is(struct http_slice encoded, const char *key)
{
	char name[32];

	return http_decode(encoded, true, name, sizeof(name)) == strlen(key) &&
	       strcmp(name, key) == 0;
}

bool http_query_next(struct http_slice *rest, struct http_slice *key, struct http_slice *value)
{
	struct http_slice pair = upto(*rest, '&');

	if (rest->len == 0)
		return false;
	*key = upto(pair, '=');
	*value = slice_from(pair, key->len + (key->len < pair.len));
	*rest = slice_from(*rest, pair.len + (pair.len < rest->len));
	return true;
}

bool http_query(const struct http_request *r, const char *key, char *out, size_t size)
{
	struct http_slice rest = r->query, name, value;

	while (http_query_next(&rest, &name, &value))
		if (key_is(name, key))
			return http_decode(value, true, out, size) > 0;
	return false;
}

static bool add_digit(int64_t *value, char c, bool negative)
{
	int64_t digit = negative ? '0' - c : c - '0';

	return c >= '0' && c <= '9' && !__builtin_mul_overflow(*value, 10, value) &&
	       !__builtin_add_overflow(*value, digit, value);
}

bool http_query_number(const struct http_request *r, const char *key, int64_t *value)
{
	char text[64];
	const char *digit = text;
	bool negative;

	if (!http_query(r, key, text, sizeof(text)) || strlen(text) == sizeof(text) - 1)
		return false;
	negative = *digit == '-';
	if (negative || *digit == '+')
		digit++;
	*value = 0;
	if (*digit == '\0')
		return false;
	for (; *digit; digit++)
		if (!add_digit(value, *digit, negative))
			return false;
	return true;
}
