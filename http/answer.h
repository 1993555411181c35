/* http: the server and its pages.  May include proto and below. */
/*
 * Reads an answer that one of our own servers gave, once its connection has ended: the
 * status and the body, put together if it came in chunks.  Where whoever answered ended
 * before the answer did, the chunks that are whole are there.
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

/*
 * Chunks are moved together in `bytes`.  False: it is not a whole answer; then body_len is of
 * its whole chunks, 0 if there are none.
 */
bool answer_parse(char *bytes, size_t len, struct answer *out);

/*
 * Of an answer under way in which each chunk says all that those before it said: takes all
 * whole chunks but the last out of `bytes`.  Returns how many bytes are left.
 */
size_t answer_keep_last_chunk(char *bytes, size_t len);

#endif
