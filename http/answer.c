#include "http/answer.h"

#include <stdint.h>
#include <string.h>

#include "sampler/base/number.h"

#define STATUS_LINE "HTTP/1.1 "

/* The value of a header line of the head, which ends with NUL; NULL: there is none. */
static const char *header(const char *head, const char *line_start)
{
	const char *at = strstr(head, line_start);

	return at ? at + strlen(line_start) : NULL;
}

#define CHUNKED "\r\nTransfer-Encoding: chunked"

/* A chunk of a body, its line and end included. */
struct chunk {
	size_t start, data, size, end;
};

/* The chunk that begins at `from`.  False: it is not whole. */
static bool chunk_at(const char *body, size_t len, size_t from, struct chunk *c)
{
	const char *line = body + from, *end = memchr(line, '\n', len - from);

	if (!end)
		return false;
	c->start = from;
	c->size = number_take(&line, 16);
	c->data = (size_t)(end - body) + 1;
	if (c->size > len - c->data || (c->size && len - c->data - c->size < 2))
		return false;
	c->end = c->data + c->size + (c->size ? 2 : 0);
	return true;
}

/* Moves the chunks together.  False: the last one, which is empty, is not there. */
static bool join_chunks(char *body, size_t len, size_t *out_len)
{
	struct chunk c = { .size = 1 };
	size_t to = 0;

	while (c.size && chunk_at(body, len, c.end, &c)) {
		memmove(body + to, body + c.data, c.size);
		to += c.size;
	}
	*out_len = to;
	return c.size == 0;
}

size_t answer_keep_last_chunk(char *bytes, size_t len)
{
	char *body = len ? memmem(bytes, len, "\r\n\r\n", 4) : NULL;
	struct chunk c = { 0 }, last;
	size_t body_len;

	if (!body || !memmem(bytes, (size_t)(body - bytes), CHUNKED, strlen(CHUNKED)))
		return len;
	body += 4;
	body_len = len - (size_t)(body - bytes);
	last = c;
	while (chunk_at(body, body_len, c.end, &c) && c.size)
		last = c;
	memmove(body, body + last.start, body_len - last.start);
	return len - last.start;
}

bool answer_parse(char *bytes, size_t len, struct answer *out)
{
	char *body = len ? memmem(bytes, len, "\r\n\r\n", 4) : NULL;
	const char *at, *length;
	size_t body_len;

	out->body_len = 0;
	if (!body || len < strlen(STATUS_LINE) ||
	    memcmp(bytes, STATUS_LINE, strlen(STATUS_LINE)) != 0)
		return false;
	body[2] = '\0'; /* the head's end; its strings are looked for before it */
	at = bytes + strlen(STATUS_LINE);
	out->status = (int)number_take(&at, 10);
	out->body = body + 4;
	body_len = len - (size_t)(out->body - bytes);
	if (memchr(bytes, '\0', (size_t)(body + 2 - bytes)))
		return false;
	if (header(bytes, CHUNKED))
		return join_chunks(out->body, body_len, &out->body_len);
	length = header(bytes, "\r\nContent-Length: ");
	if (!length || number_take(&length, 10) != body_len)
		return false;
	out->body_len = body_len;
	return true;
}
