/* http: the server and its pages.  May include proto and below. */
/*
 * What main tells the routes, and each of them may ask.
 *
 * Context: listener, but routes_init().
 */
#ifndef HTTP_ROUTES_CONFIG_H
#define HTTP_ROUTES_CONFIG_H

#include <stddef.h>

#include "sampler/base/text.h"

/* What the routes cannot find out by themselves.  Pointers are borrowed for ever. */
struct routes_config {
	const char *version; /* "0.1.0" */
	const char *program; /* the path that was executed, "" if unknown */
	const char *cmdline; /* the program's arguments with NUL between them, none at the end */
	size_t cmdline_len;
	int default_hz; /* of CPU profiles that do not ask for a rate */
	/* Writes the part of the shim page that tells settings and states; NULL: none. */
	void (*write_status)(struct text *t);
};

/* Context: init, or listener before http_serve(). */
void routes_init(const struct routes_config *config);

const struct routes_config *routes_config(void);

#endif
