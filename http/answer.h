/* http: the server and its pages.  May include proto and below. */
/*
 * Reads an answer that one of our own servers gave, once its connection has ended: the
 * status and the body, put together if it came in chunks.
 *
 * Context: any role (used by the listener only).
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer {
	int status;
	char *body; /* points into the bytes */
	size_t body_len;
};

/* Chunks are moved together in `bytes`.  False: it is not a whole answer. */
bool answer_parse(char *bytes, size_t len, struct answer *out);

#endif
