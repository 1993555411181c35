/*
 * HTTP/1.x requests, parsed without state, memory or sockets: pointers into
 * the caller's bytes.
 *
 * Context: any role (used by the listener only).
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEADERS_MAX 64

struct http_slice {
	const char *at;
	size_t len;
};

struct http_header {
	struct http_slice name;
	struct http_slice value; /* blanks around it are cut off */
};

struct http_request {
	struct http_slice method;
	struct http_slice path;	 /* as sent, before '?' */
	struct http_slice query; /* as sent, behind '?', empty if none */
	int minor_version;	 /* HTTP/1.N */
	struct http_header header[HTTP_HEADERS_MAX];
	size_t header_count;
	size_t head_bytes; /* up to and with the empty line */

	/* Filled in by the server once the body has arrived. */
	struct http_slice body;
};

enum parse_result {
	PARSE_OK,
	PARSE_MORE, /* a proper prefix of a request */
	PARSE_BAD,
};

/* Parses one request head.  `len` may hold more than one request. */
enum parse_result http_parse(const char *bytes, size_t len, struct http_request *out);

/* The first header of that name (case-insensitive), or NULL. */
const struct http_slice *http_header(const struct http_request *r, const char *name);

/*
 * The first value of a query parameter, percent- and plus-decoded into `out`
 * (cut at size - 1).  False when it is absent or empty.
 */
bool http_query(const struct http_request *r, const char *key, char *out, size_t size);

#endif
