/* http: the server and its pages.  May include proto and below. */
/*
 * HTTP/1.x request heads, parsed without state, memory or sockets: pointers
 * into the caller's bytes.
 *
 * Strict, because two readers that disagree about where a request ends can be
 * played against each other: lines end with CR LF and nothing else, names are
 * tokens with the colon right behind, values hold no control bytes and are never
 * continued on a next line, versions are 1.0 and 1.1.
 *
 * Every call starts from the first byte.  A sender of single bytes makes that
 * quadratic, but only in the length of a head, which the server keeps to 8 KiB.
 *
 * Context: any role (used by the listener only).
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/slice.h"

#define HTTP_HEADERS_MAX 64

struct http_header {
	struct http_slice name;
	struct http_slice value; /* blanks around it are cut off */
};

struct http_request {
	struct http_slice method;
	struct http_slice authority; /* of a target like http://host/path, else empty */
	struct http_slice path;	     /* as sent, before '?' */
	struct http_slice query;     /* as sent, behind '?', empty if none */
	int minor_version;	     /* HTTP/1.N */
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

/* Like http_header(), and how often the name occurs. */
const struct http_slice *http_header_count(const struct http_request *r, const char *name,
					   size_t *count);

/*
 * The first value of a query parameter, percent- and plus-decoded into `out`
 * (cut at size - 1).  False when it is absent or empty.
 */
bool http_query(const struct http_request *r, const char *key, char *out, size_t size);

/*
 * Takes the first pair off `rest`, which begins as request.query; key and value as
 * sent.  False when there is none left.
 */
bool http_query_next(struct http_slice *rest, struct http_slice *key, struct http_slice *value);

/*
 * What http_query() finds as a decimal number with or without a sign.  False also when it is
 * something else, or does not fit 64 bits.
 */
bool http_query_number(const struct http_request *r, const char *key, int64_t *value);

/*
 * Percent-decodes `in` into `out`, cut at size - 1 and ended with NUL; with
 * `plus`, '+' means a blank.  What is no %XX, and %00, stays as it is.
 * Returns the length of the whole decoded text, cut or not.
 */
size_t http_decode(struct http_slice in, bool plus, char *out, size_t size);

#endif
