/* http: the server and its pages.  May include proto and below. */
/*
 * A piece of a request: bytes of somebody else, without an end mark.
 *
 * Context: any role (used by the listener only).
 */
#ifndef HTTP_SLICE_H
#define HTTP_SLICE_H

#include <stdbool.h>
#include <stddef.h>

struct http_slice {
	const char *at;
	size_t len;
};

bool slice_equals(struct http_slice s, const char *text);
bool slice_equals_nocase(struct http_slice s, const char *text);
bool slice_starts_nocase(struct http_slice s, const char *text);
struct http_slice slice_from(struct http_slice s, size_t start);

/* The list element `token` in a value like "close, TE" or "gzip;q=1, br" (case-insensitive). */
bool slice_lists(struct http_slice value, const char *token);

#endif
