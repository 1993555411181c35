/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/* Who answers for a process that has a listener, and not the port. */
#ifndef SHIM_ATTACH_HOLDER_H
#define SHIM_ATTACH_HOLDER_H

#include "shim/attach/target.h"
#include "shim/attach_block.h"

/*
 * The process above it, or of those that share its pages, that has the port (or the socket)
 * which `b`, the process's block, says.  0: none that can be read, so it belongs to somebody
 * else, who does not ask this process.
 */
int holder_find(const struct target *t, const struct attach_block *b);

#endif
