/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Which unit describes the code at an address.  Only headers and first entries
 * of units are read, which is cheap even when there are ten thousands.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_OWNER_H
#define SAMPLER_SYMBOLS_DWARF_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/base/sort.h"
#include "sampler/symbols/dwarf_unit.h"

struct dwarf_owners {
	struct sort_pair *pair; /* offset of the unit, index of the address; sorted */
	size_t count;		/* addresses that have a unit */
};

/*
 * Walks all units of `d`, notes their offsets in d->unit, and finds the owner
 * of each of the ascending addresses.  Ends early when the time is over.
 * False when memory ran out.
 */
bool dwarf_owners_find(struct dwarf_owners *o, struct dwarf *d, struct arena *a,
		       const uint64_t *addr, size_t count);

#endif
