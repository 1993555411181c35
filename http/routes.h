/*
 * What is served under /debug/pprof/: from a path to the function that answers.
 *
 * Context: listener, but routes_init().
 */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "http/server.h"
#include "sampler/base/text.h"

/* What the routes cannot find out by themselves.  Pointers are borrowed for ever. */
struct routes_config {
	const char *version; /* "0.1.0" */
	const char *cmdline; /* the program's arguments with NUL between them, none at the end */
	size_t cmdline_len;
	int default_hz; /* of CPU profiles that do not ask for a rate */
	/* Writes the part of the shim page that tells settings and states; NULL: none. */
	void (*write_status)(struct text *t);
};

/* Context: init, or listener before http_serve(). */
void routes_init(const struct routes_config *config);

/* http_service.serve and http_service.body_limit */
void routes_serve(struct http_exchange *x, const struct http_request *r);
size_t routes_body_limit(const struct http_request *r);

#endif
