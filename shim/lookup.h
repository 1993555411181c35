/*
 * Finds a dynamic symbol in the objects that come after ours in search order.
 *
 * Context: hook, init.  Reads memory of objects loaded at start; no lock, no
 * allocation.
 */
#ifndef SHIM_LOOKUP_H
#define SHIM_LOOKUP_H

#include <stdbool.h>

/* The address of the default version of `name`, or NULL. */
void *lookup_next(const char *name);

/* Whether `name`, looked up as the program does, is ours.  Context: init. */
bool lookup_is_ours(const char *name);

#endif
