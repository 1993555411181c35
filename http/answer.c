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

/* Moves the chunks together.  False: the last one is not there. */
static bool join_chunks(char *body, size_t len, size_t *out_len)
{
	size_t from = 0, to = 0;

	for (;;) {
		const char *line = body + from, *end = memchr(line, '\n', len - from);
		uint64_t size;

		if (!end)
			return false;
		size = number_take(&line, 16);
		from = (size_t)(end - body) + 1;
		if (size == 0)
			break;
		if (size > len - from || len - from - size < 2)
			return false;
		memmove(body + to, body + from, size);
		to += size;
		from += size + 2;
	}
	*out_len = to;
	return true;
}

bool answer_parse(char *bytes, size_t len, struct answer *out)
{
	char *body = len ? memmem(bytes, len, "\r\n\r\n", 4) : NULL;
	const char *at, *length;

	if (!body || len < strlen(STATUS_LINE) ||
	    memcmp(bytes, STATUS_LINE, strlen(STATUS_LINE)) != 0)
		return false;
	body[2] = '\0'; /* the head's end; its strings are looked for before it */
	at = bytes + strlen(STATUS_LINE);
	out->status = (int)number_take(&at, 10);
	out->body = body + 4;
	out->body_len = len - (size_t)(out->body - bytes);
	if (memchr(bytes, '\0', (size_t)(body + 2 - bytes)))
		return false;
	if (header(bytes, "\r\nTransfer-Encoding: chunked"))
		return join_chunks(out->body, out->body_len, &out->body_len);
	length = header(bytes, "\r\nContent-Length: ");
	return length && number_take(&length, 10) == out->body_len;
}
