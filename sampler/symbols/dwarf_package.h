/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Packages of split debug information (.dwp): the .dwo files of all units of a program in
 * one, with an index of what belongs to which.  Both forms of index are read, that of GNU
 * for DWARF 4 and that of DWARF 5.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_PACKAGE_H
#define SAMPLER_SYMBOLS_DWARF_PACKAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_section.h"
#include "sampler/symbols/elf.h"

struct dwarf_package {
	struct elf e;
	struct dwarf_section section[DWARF_SECTIONS]; /* of all units together */
	struct dwarf_section index;
	uint32_t columns, units, slots; /* of the index */
	bool is_open;
};

/* Opens the package at `path`.  Tables come from `a`. */
bool dwarf_package_open(struct dwarf_package *p, struct arena *a, const char *path);

/* The sections of the unit with that id, as its own .dwo file had them. */
bool dwarf_package_find(const struct dwarf_package *p, uint64_t id,
			struct dwarf_section section[DWARF_SECTIONS]);

/* Also right for one that was not opened. */
void dwarf_package_close(struct dwarf_package *p);

#endif
