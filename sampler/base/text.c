#include "sampler/base/text.h"

#include <string.h>

#include "sampler/base/cc.h"

uint64_t text_hash_more(uint64_t hash, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3;
	return hash;
}

void text_bytes(struct text *t, const void *bytes, size_t len)
{
	size_t fits = MIN(len, t->size - 1 - t->len);

	memcpy(t->at + t->len, bytes, fits);
	t->len += fits;
	t->at[t->len] = '\0';
	t->cut |= fits < len;
}

void text_str(struct text *t, const char *s)
{
	text_bytes(t, s, strlen(s));
}

void text_begin_of(struct text *t, const char *s, size_t most)
{
	size_t len = 0;

	while (len <= most && s[len])
		len++;
	text_bytes(t, s, MIN(len, most));
	if (len > most)
		text_str(t, "...");
}

void text_char(struct text *t, char c)
{
	text_bytes(t, &c, 1);
}

static void text_digits(struct text *t, uint64_t n, unsigned base)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	text_bytes(t, digits + i, sizeof(digits) - i);
}

void text_u64(struct text *t, uint64_t n)
{
	text_digits(t, n, 10);
}

void text_i64(struct text *t, int64_t n)
{
	if (n < 0)
		text_char(t, '-');
	text_digits(t, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 10);
}

void text_hex(struct text *t, uint64_t n)
{
	text_digits(t, n, 16);
}

static void text_two(struct text *t, uint64_t n)
{
	text_char(t, (char)('0' + n / 10));
	text_char(t, (char)('0' + n % 10));
}

void text_time_of_day(struct text *t, uint64_t s)
{
	text_two(t, s / 3600 % 24);
	text_char(t, ':');
	text_two(t, s / 60 % 60);
	text_char(t, ':');
	text_two(t, s % 60);
	text_str(t, " UTC");
}
