/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Split debug information (-gsplit-dwarf): of a unit the object has a skeleton, with its
 * addresses and lines; its functions and what was inlined in them are in a .dwo file where
 * the compiler left it, or in a package (.dwp) beside the object.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_SPLIT_H
#define SAMPLER_SYMBOLS_DWARF_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_package.h"
#include "sampler/symbols/dwarf_unit.h"
#include "sampler/symbols/elf.h"

/* What is known of an object's split units. */
struct dwarf_split {
	const struct elf *e; /* the object, or its debug file */
	const char *path;    /* of the object */
	struct dwarf_package package;
	bool was_looked_for; /* the package */
	uint64_t opened;     /* files so far */
};

/* The other part of one unit. */
struct dwarf_split_unit {
	struct elf e; /* open only if it is a file of its own */
	struct dwarf d;
	struct dwarf_unit u;
};

/*
 * Opens what belongs to `skeleton`, whose first entry `root` has just been read: its names are
 * still in the window.  Tables come from `a`, those of the package from `lasting`.  False when
 * it is not there, or another's.
 */
bool dwarf_split_open(struct dwarf_split_unit *s, struct dwarf_split *all, struct arena *lasting,
		      const struct dwarf_unit *skeleton, const struct dwarf_entry *root,
		      struct arena *a);

/* Whether the unit has another part. */
bool dwarf_split_is_skeleton(const struct dwarf_unit *u, const struct dwarf_entry *root);

void dwarf_split_close(struct dwarf_split_unit *s);

#endif
