/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * What pprof-attach and the library in another process have in common: one block in the
 * library's data, which the tool finds by its name, reads at any time, and writes to while
 * it has a thread of the program stopped.
 */
#ifndef SHIM_ATTACH_BLOCK_H
#define SHIM_ATTACH_BLOCK_H

#include <stdint.h>

#define ATTACH_VERSION	      4
#define ATTACH_SETTINGS_BYTES 8192
#define ATTACH_SENTENCE_BYTES 512
#define ATTACH_SOCKET_BYTES   112 /* a path has 107 at most */

/*
 * A library handed over by the tool has its last slash doubled in the name that dlopen is
 * given: so the constructor knows that it is to wait for pprofshim_attach() in silence.
 */
#define ATTACH_NAME_MARK "//"

enum attach_state {
	ATTACH_DORMANT,	 /* nothing runs, and `sentence` may say why */
	ATTACH_STARTING, /* our thread has not said yet whether it has the port, or waits for it */
	ATTACH_SERVING,	 /* by port and socket, or where there is neither it writes files */
	ATTACH_MEMBER,	 /* answers for the process that has the port */
	ATTACH_DETACHED, /* all was given back; it may be attached again */
};

struct attach_block {
	uint32_t version;
	uint32_t state;	       /* enum attach_state; written by the library */
	uint32_t stays;	       /* it was there at the start: it cannot be detached from */
	uint32_t port;	       /* where the endpoint is, of a member the tree's; 0: none */
	int32_t pid;	       /* the process that all this is about: a forked child has another */
	int32_t thread;	       /* ours, while it runs: to be woken */
	uint32_t wants_leave;  /* written by the tool: detach */
	uint32_t wants_hooks;  /* written by the tool: allocations and waits too */
	uint32_t hooked;       /* calls of the program's objects that lead to the library */
	uint32_t closed;       /* and those that could not be changed */
	uint32_t wants_stacks; /* handlers run on alternate stacks: the tool is to look at those */
	uint32_t stacks;       /* written by the tool: what it saw, enum carrier_stacks */
	uint64_t stack[3];     /* of the thread that it looks at, as sigaltstack(2) tells */
	char socket[ATTACH_SOCKET_BYTES]; /* the unix one; "": none */
	char sentence[ATTACH_SENTENCE_BYTES];
	/* Written by the tool: NAME=value, each ended by NUL, and one NUL more; wiped when read. */
	char settings[ATTACH_SETTINGS_BYTES];
};

/* The names of the block and of the function that reads its settings and starts; 0: it did. */
#define ATTACH_BLOCK	"pprofshim_attach_block"
#define ATTACH_FUNCTION "pprofshim_attach"
/* Called like that one: gives the hooked calls back. */
#define ATTACH_UNHOOK "pprofshim_unhook"

#endif
