#include "http/body.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/number.h"

/* Longest chunk size line, and all trailers together: nobody sends either to us. */
#define FRAME_BYTES_MAX 1024

#define LENGTH_DIGITS_MAX 18 /* fits 64 bits; longer ones are far above every limit */

/* Digits only: a sign, a list or a blank may mean another length to a proxy. */
static bool parse_length(struct http_slice s, uint64_t *length)
{
	*length = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		if (i >= LENGTH_DIGITS_MAX)
			*length = INT64_MAX;
		else
			*length = *length * 10 + (uint64_t)(s.at[i] - '0');
	}
	return s.len > 0;
}

static int chunked_framing(const struct http_request *r, const struct http_slice *encoding,
			   struct body *b)
{
	if (r->minor_version == 0)
		return 400;
	if (!slice_equals_nocase(*encoding, "chunked"))
		return 501;
	b->kind = BODY_CHUNKED;
	return 0;
}

static int length_framing(const struct http_slice *length, struct body *b)
{
	if (!parse_length(*length, &b->left))
		return 400;
	b->kind = b->left ? BODY_LENGTH : BODY_NONE;
	return 0;
}

int body_framing(const struct http_request *r, struct body *b)
{
	size_t encodings, lengths;
	const struct http_slice *encoding = http_header_count(r, "Transfer-Encoding", &encodings);
	const struct http_slice *length = http_header_count(r, "Content-Length", &lengths);

	*b = (struct body){ .kind = BODY_NONE, .state = CHUNK_SIZE };
	if (encodings + lengths > 1)
		return 400;
	if (encoding)
		return chunked_framing(r, encoding, b);
	return length ? length_framing(length, b) : 0;
}

static bool make_room(struct body *b, struct arena *a, size_t bytes)
{
	size_t want = MAX(b->len + bytes, b->room * 2);
	char *bigger;

	if (b->kind == BODY_LENGTH)
		want = b->len + (size_t)b->left;
	if (b->len + bytes <= b->room)
		return true;
	bigger = arena_grow(a, b->at, b->room, want);
	if (!bigger)
		return false;
	b->at = bigger;
	b->room = want;
	return true;
}

/* Takes data, at most `left` bytes of it. */
static enum body_result feed_data(struct body *b, struct arena *a, const char *bytes, size_t len,
				  size_t *used)
{
	size_t take = (size_t)MIN((uint64_t)len, b->left);

	if (b->left > b->limit - b->len)
		return BODY_TOO_LARGE;
	if (take == 0)
		return BODY_MORE;
	if (b->keep && !make_room(b, a, take))
		return BODY_NO_MEMORY;
	if (b->keep)
		memcpy(b->at + b->len, bytes, take);
	b->len += take;
	b->left -= take;
	*used += take;
	return b->left ? BODY_MORE : BODY_DONE;
}

static enum chunk_state after_size_byte(struct body *b, char c)
{
	int digit = number_digit(c);

	if (digit >= 0 && b->left <= UINT32_MAX) {
		b->left = b->left * 16 + (uint64_t)digit;
		return CHUNK_SIZE;
	}
	if (digit >= 0 || b->frame_bytes == 1)
		return CHUNK_ERROR;
	if (c == '\r')
		return CHUNK_SIZE_LF;
	return c == ';' || c == ' ' || c == '\t' ? CHUNK_EXTENSION : CHUNK_ERROR;
}

static enum chunk_state after_line_byte(char c, enum chunk_state line, enum chunk_state line_feed)
{
	if (c == '\r')
		return line_feed;
	return c == '\n' || c == '\0' ? CHUNK_ERROR : line;
}

static enum chunk_state after(char c, char wanted, enum chunk_state next)
{
	return c == wanted ? next : CHUNK_ERROR;
}

/* The state behind one byte of framing. */
static enum chunk_state after_byte(struct body *b, char c)
{
	switch (b->state) {
	case CHUNK_SIZE:
		return after_size_byte(b, c);
	case CHUNK_EXTENSION:
		return after_line_byte(c, CHUNK_EXTENSION, CHUNK_SIZE_LF);
	case CHUNK_SIZE_LF:
		return after(c, '\n', b->left ? CHUNK_DATA : CHUNK_TRAILER);
	case CHUNK_DATA_CR:
		return after(c, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF:
		b->frame_bytes = 0;
		return after(c, '\n', CHUNK_SIZE);
	case CHUNK_TRAILER:
		return after_line_byte(c, CHUNK_TRAILER_LINE, CHUNK_END_LF);
	case CHUNK_TRAILER_LINE:
		return after_line_byte(c, CHUNK_TRAILER_LINE, CHUNK_TRAILER_LF);
	case CHUNK_TRAILER_LF:
		return after(c, '\n', CHUNK_TRAILER);
	case CHUNK_END_LF:
		return after(c, '\n', CHUNK_DONE);
	default:
		return CHUNK_ERROR;
	}
}

static enum body_result feed_frame(struct body *b, char c)
{
	if (++b->frame_bytes > FRAME_BYTES_MAX)
		return BODY_BAD;
	b->state = after_byte(b, c);
	if (b->state == CHUNK_ERROR)
		return BODY_BAD;
	return b->state == CHUNK_DONE ? BODY_DONE : BODY_MORE;
}

static enum body_result feed_chunks(struct body *b, struct arena *a, const char *bytes, size_t len,
				    size_t *used)
{
	enum body_result result = BODY_MORE;

	while (result == BODY_MORE && *used < len) {
		if (b->state != CHUNK_DATA) {
			result = feed_frame(b, bytes[(*used)++]);
			continue;
		}
		result = feed_data(b, a, bytes + *used, len - *used, used);
		if (result == BODY_DONE) {
			b->state = CHUNK_DATA_CR;
			result = BODY_MORE;
		}
	}
	return result;
}

enum body_result body_feed(struct body *b, struct arena *a, const char *bytes, size_t len,
			   size_t *used)
{
	*used = 0;
	if (b->kind == BODY_CHUNKED)
		return feed_chunks(b, a, bytes, len, used);
	return feed_data(b, a, bytes, len, used);
}
