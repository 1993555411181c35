/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Text without stdio: appends to a buffer that the caller owns.  What does not
 * fit is left out and `cut` is set; the text is always ended with NUL.
 *
 * Context: any role.
 */
#ifndef SAMPLER_BASE_TEXT_H
#define SAMPLER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *at;
	size_t len;  /* without the NUL */
	size_t size; /* of the buffer, NUL included; at least 1 */
	bool cut;
};

#define TEXT_INIT(buf)                                                                             \
	{                                                                                          \
		.at = (buf), .size = sizeof(buf)                                                   \
	}

/* FNV-1a, to begin with and to go on with. */
#define TEXT_HASH_INIT 0xcbf29ce484222325UL
uint64_t text_hash_more(uint64_t hash, const char *bytes, size_t len);

void text_bytes(struct text *t, const void *bytes, size_t len);
void text_str(struct text *t, const char *s);
/* Of what is longer the first `most` bytes and "...": for sentences that go on behind it. */
void text_begin_of(struct text *t, const char *s, size_t most);
void text_char(struct text *t, char c);
void text_u64(struct text *t, uint64_t n);
void text_i64(struct text *t, int64_t n);
/* Lowercase, without 0x. */
void text_hex(struct text *t, uint64_t n);
/* "07:12:31 UTC", of seconds since the epoch: libc would read the time zone. */
void text_time_of_day(struct text *t, uint64_t s);

#endif
