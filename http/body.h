/* http: the server and its pages.  May include proto and below. */
/*
 * Bodies of requests: how long one is, and taking it out of the bytes of the
 * connection, by Content-Length or in chunks.  Pure but for the arena that
 * keeps what is wanted.
 *
 * Context: listener.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "http/parse.h"
#include "sampler/base/arena.h"

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED };

enum body_result {
	BODY_DONE,
	BODY_MORE, /* all bytes were used, more must come */
	BODY_BAD,
	BODY_TOO_LARGE,
	BODY_NO_MEMORY,
};

/* Where in the framing of chunks the next byte stands. */
enum chunk_state {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER, /* at the start of a line */
	CHUNK_TRAILER_LINE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
	CHUNK_DONE,
	CHUNK_ERROR,
};

struct body {
	enum body_kind kind;
	bool keep;    /* bytes are kept in the arena; else counted and dropped */
	size_t limit; /* bytes of data that are accepted */
	size_t len;   /* bytes of data so far */
	size_t room;  /* bytes allocated at `at` */
	char *at;
	uint64_t left; /* bytes of data to come: of the body, or of this chunk */
	enum chunk_state state;
	size_t frame_bytes; /* of this chunk's size line, or of all trailers */
};

/*
 * Reads from the headers how the body is framed, and resets `b`; the caller
 * fills in keep and limit.  Returns 0, or the status that the request deserves.
 */
int body_framing(const struct http_request *r, struct body *b);

/* Takes what belongs to the body; *used tells how many of `len` bytes did. */
enum body_result body_feed(struct body *b, struct arena *a, const char *bytes, size_t len,
			   size_t *used);

#endif
