/* symbols: names and lines of addresses.  May include process and below. */
/*
 * All units of one file, by their headers.  Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_UNITS_H
#define SAMPLER_SYMBOLS_DWARF_UNITS_H

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_unit.h"

/*
 * Notes the offsets of all units in d->unit, in memory of `a`, and calls `fn`, if there is
 * one, for each.  Ends early when time or memory is over.
 */
void dwarf_units_list(struct dwarf *d, struct arena *a,
		      void (*fn)(void *opaque, struct dwarf_unit *u), void *opaque);

#endif
