/*
 * Finds a dynamic symbol in the objects that come after ours in search order.
 *
 * Context: hook, init.  Reads memory of objects loaded at start; no lock, no
 * allocation.
 */
#ifndef SHIM_LOOKUP_H
#define SHIM_LOOKUP_H

/* The address of the default version of `name`, or NULL. */
void *lookup_next(const char *name);

#endif
