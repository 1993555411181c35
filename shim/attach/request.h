/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/* What the user asked for: by options, and by the variables that the library knows. */
#ifndef SHIM_ATTACH_REQUEST_H
#define SHIM_ATTACH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "shim/attach_block.h"

struct request {
	int pid;
	bool detach, tree, hooks;
	unsigned port;
	bool port_is_given;
	const char *key_file; /* for the command that is shown; NULL: there is none */
	char made_key[33];    /* "": none had to be made */
	/* For the library, but for the port: NAME=value, each ended by NUL, and one NUL more. */
	char settings[ATTACH_SETTINGS_BYTES];
	size_t settings_bytes;
};

/* With the port in front; the bytes, the last NUL included. */
size_t request_settings(const struct request *r, unsigned port, char out[ATTACH_SETTINGS_BYTES]);

/* Reads options and environment; what makes no sense ends the tool with a sentence. */
void request_read(struct request *r, int argc, char **argv);

/* Prints where the endpoint is, and what to paste; to detach only where one can. */
void request_tell(const struct request *r, unsigned port, bool may_detach);

#endif
