/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/* Gets the library into the program, or wakes up the one that is there. */
#ifndef SHIM_ATTACH_LOAD_H
#define SHIM_ATTACH_LOAD_H

#include "shim/attach/request.h"
#include "shim/attach/target.h"
#include "shim/attach_block.h"

/*
 * Returns NULL when the library took the settings with this port, or a sentence that says why
 * not and what to do.  The time that one thread was stopped goes to *stopped_ns.
 */
const char *load_library(struct target *t, const struct request *r, unsigned port,
			 int64_t *stopped_ns);

/* Has the hooked calls given back, by a thread that is stopped for it.  NULL, or why not. */
const char *load_unhook(struct target *t);

/* Reads the library's block.  False: it has none (an older version). */
bool load_read_block(const struct target *t, struct attach_block *out);

/* Asks the library to leave, which stops no thread.  False: the kernel refuses to let us. */
bool load_ask_to_leave(const struct target *t, const struct attach_block *b);

#endif
