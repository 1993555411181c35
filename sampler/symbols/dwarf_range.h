/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The addresses that an entry covers.  Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_RANGE_H
#define SAMPLER_SYMBOLS_DWARF_RANGE_H

#include <stdint.h>

#include "sampler/symbols/dwarf_unit.h"

/* Called for each range [start, limit) that is not empty. */
typedef void (*dwarf_range_fn)(void *opaque, uint64_t start, uint64_t limit);

/*
 * Calls `fn` for all ranges of `e`.  Ranges at address 0 are left out: linkers
 * put there what they dropped.
 */
void dwarf_ranges(const struct dwarf_unit *u, const struct dwarf_entry *e, dwarf_range_fn fn,
		  void *opaque);

#endif
