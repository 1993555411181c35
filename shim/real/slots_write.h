/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * Words of loaded objects are changed, many at once: each only if it still is what it was, in
 * one store.  Pages that are closed are opened for the moment, as they are found and not as they
 * should be: a program may have closed more of them than the loader.
 *
 * Context: init or hook, while the thread has the loader's lock (loader_lock.h), since the
 * loader closes pages of what it relocates.
 */
#ifndef SHIM_REAL_SLOTS_WRITE_H
#define SHIM_REAL_SLOTS_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/sort.h"

#define SLOTS_CHANGES_MAX 32768

struct slots_change {
	uint64_t *at;
	uint64_t from, to;
};

/* Large: sys_map() it. */
struct slots_changes {
	struct sort_pair order[SLOTS_CHANGES_MAX]; /* by address; the change's index */
	struct slots_change change[SLOTS_CHANGES_MAX];
	size_t count;
};

/* False: there is no room. */
bool slots_note_change(struct slots_changes *c, struct slots_change change);

/* How many were done; `closed` gets how many were on pages that could not be opened. */
size_t slots_make_changes(struct slots_changes *c, size_t *closed);

#endif
