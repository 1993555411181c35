/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Reading numbers and strings out of bytes that may end anywhere.  A cursor
 * that would run over its end turns bad, stays at the end and yields zeros, so
 * that callers check once and not after every field.
 *
 * Context: any role.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_CURSOR_H
#define SAMPLER_SYMBOLS_DWARF_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dwarf_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline size_t dwarf_left(const struct dwarf_cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* Steps over `n` bytes and returns where they are, or NULL. */
static inline const uint8_t *dwarf_skip(struct dwarf_cursor *c, uint64_t n)
{
	const uint8_t *at = c->at;

	if (n > dwarf_left(c)) {
		c->bad = true;
		c->at = c->end;
		return NULL;
	}
	c->at += n;
	return at;
}

/* A little-endian number of `size` bytes, at most 8. */
static inline uint64_t dwarf_fixed(struct dwarf_cursor *c, size_t size)
{
	const uint8_t *at = dwarf_skip(c, size);
	uint64_t n = 0;

	if (at)
		memcpy(&n, at, size);
	return n;
}

static inline uint8_t dwarf_u8(struct dwarf_cursor *c)
{
	return (uint8_t)dwarf_fixed(c, 1);
}

static inline uint16_t dwarf_u16(struct dwarf_cursor *c)
{
	return (uint16_t)dwarf_fixed(c, 2);
}

/* Bits beyond 64 are dropped. */
static inline uint64_t dwarf_uleb(struct dwarf_cursor *c)
{
	uint64_t n = 0;
	unsigned shift = 0;

	while (c->at < c->end) {
		uint8_t byte = *c->at++;

		if (shift < 64)
			n |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return n;
		shift += 7;
	}
	c->bad = true;
	return 0;
}

static inline int64_t dwarf_sleb(struct dwarf_cursor *c)
{
	uint64_t n = 0;
	unsigned shift = 0;

	while (c->at < c->end) {
		uint8_t byte = *c->at++;

		if (shift < 64)
			n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (shift < 64 && byte & 0x40)
			n |= ~0ULL << shift;
		return (int64_t)n;
	}
	c->bad = true;
	return 0;
}

/* A string that ends with NUL before the cursor ends; "" otherwise. */
static inline const char *dwarf_string_here(struct dwarf_cursor *c)
{
	const uint8_t *nul = memchr(c->at, '\0', dwarf_left(c));
	const char *s = (const char *)c->at;

	if (!nul) {
		c->bad = true;
		c->at = c->end;
		return "";
	}
	c->at = nul + 1;
	return s;
}

#endif
