/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Debug information that several objects have in common (`dwz -m`), as a second file of
 * that of one object.  Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_SHARED_H
#define SAMPLER_SYMBOLS_DWARF_SHARED_H

#include <stdbool.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_unit.h"
#include "sampler/symbols/elf.h"

struct dwarf_shared {
	struct elf e;
	struct arena arena;
	struct dwarf d;
};

/*
 * Opens the file that `e`, whose debug information `d` is, refers to, and sets d->shared.
 * False when it refers to one that is not there or cannot be read.
 */
bool dwarf_shared_open(struct dwarf_shared *s, struct dwarf *d, const struct elf *e);

/* Also right for a zeroed struct. */
void dwarf_shared_close(struct dwarf_shared *s);

#endif
