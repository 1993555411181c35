/* http: the server and its pages.  May include proto and below. */
/*
 * Who may ask.  A loopback port is open to every local user and, through a
 * browser, to every web page; so a request must name a loopback host, must not
 * come from a foreign page, and must carry the key.  All of this is decided
 * before a parameter, a path or a body is looked at.
 *
 * Context: listener, all of it.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include "http/parse.h"

#define GUARD_KEY_MAX	       255 /* bytes; a longer or an empty key opens nothing */
#define GUARD_WRONG_PER_SECOND 10

struct guard {
	unsigned char key[GUARD_KEY_MAX + 1]; /* padded with zeros */
	size_t key_len;
	int64_t window_ns; /* start of the second in which wrong keys are counted */
	unsigned int wrong;
};

/* What a refused request is told. */
struct guard_refusal {
	int status;
	const char *message;
	const char *extra; /* header lines, or NULL */
};

void guard_init(struct guard *g, const char *key);

/*
 * Looks at one request at `now_ns` (CLOCK_MONOTONIC).  Returns NULL when it may
 * be answered.  Wrong keys beyond GUARD_WRONG_PER_SECOND get 429; the right key
 * is served at any time, and no key at all is always 401.
 */
const struct guard_refusal *guard_check(struct guard *g, const struct http_request *r,
					int64_t now_ns);

/*
 * The same without the key, for a client whom the kernel knows: it may be a tunnel, with
 * a browser behind it.
 */
const struct guard_refusal *guard_check_place(const struct http_request *r);

#endif
