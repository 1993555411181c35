/* http: the server and its pages.  May include proto and below. */
/*
 * What main tells the routes, and each of them may ask.
 *
 * Context: listener, but routes_init().
 */
#ifndef HTTP_ROUTES_CONFIG_H
#define HTTP_ROUTES_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/text.h"

struct process_list; /* sampler/process/descendants.h */

/* What the routes cannot find out by themselves.  Pointers are borrowed for ever. */
struct routes_config {
	const char *version; /* "0.1.0" */
	const char *program; /* the path that was executed, "" if unknown */
	const char *cmdline; /* the program's arguments with NUL between them, none at the end */
	size_t cmdline_len;
	int default_hz; /* of CPU profiles that do not ask for a rate */
	/* Writes the part of the shim page that tells settings and states; NULL: none. */
	void (*write_status)(struct text *t);

	/* The tree of processes; all NULL: profiles have this process alone. */
	uint32_t tree_id; /* in the names of members' sockets */
	void (*call_members)(
		const struct process_list *l); /* those that are not there are to come */
	bool (*has_forked)(void);	       /* this process, at any time */
	bool (*is_member)(int pid);	       /* who has such a socket belongs to the tree */
	bool (*has_joined)(int pid);	       /* it is a member now */
	const char *(*why_no_member)(int pid); /* "": nothing is known of it */
	/*
	 * How many that were forked ended and were never asked, and bytes that they had
	 * allocated; `as_member`: as far as nobody else tells of them.
	 */
	uint64_t (*ended_unasked)(bool as_member, uint64_t *allocated);
};

/* Context: init, or listener before http_serve(). */
void routes_init(const struct routes_config *config);

const struct routes_config *routes_config(void);

#endif
