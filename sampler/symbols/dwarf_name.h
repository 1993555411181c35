/* symbols: names and lines of addresses.  May include process and below. */
/*
 * What a function is called and where it is declared.  That may be said by
 * another entry than the one at hand, which may be in another unit.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_NAME_H
#define SAMPLER_SYMBOLS_DWARF_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/intern.h"
#include "sampler/symbols/dwarf_line.h"
#include "sampler/symbols/dwarf_unit.h"

#define DWARF_NAMER_UNITS      4	   /* other units kept at hand */
#define DWARF_NAMER_UNIT_BYTES (1UL << 20) /* for the tables of each */
#define DWARF_NAMER_KNOWN      4096	   /* functions remembered; a power of two */

/* A unit with what is needed to read single entries of it. */
struct dwarf_loaded {
	struct dwarf_unit u;
	struct dwarf_lines lines;
	bool has_lines;
};

struct dwarf_function {
	const char *name; /* for users; NULL: unknown */
	const char *system_name;
	const char *file; /* of the declaration, "" if unknown */
	uint32_t line;
};

struct dwarf_namer_unit {
	struct dwarf_loaded loaded;
	struct arena arena; /* its tables */
	uint64_t used;	    /* when, for the choice of the one to replace */
	bool is_valid;
};

struct dwarf_known {
	uint64_t entry;
	struct dwarf_function function;
	bool is_valid;
};

struct dwarf_namer {
	struct dwarf *d;
	struct intern *strings;
	struct dwarf_known *known;
	uint64_t uses;
	struct dwarf_namer_unit unit[DWARF_NAMER_UNITS];
};

/* False when memory ran out.  `a` holds what is remembered. */
bool dwarf_namer_init(struct dwarf_namer *n, struct dwarf *d, struct intern *strings,
		      struct arena *a);

void dwarf_namer_release(struct dwarf_namer *n);

/*
 * Describes the function at `entry`, starting in the unit `here`.  Without a
 * name when the time is over.
 */
struct dwarf_function dwarf_describe(struct dwarf_namer *n, struct dwarf_loaded *here,
				     uint64_t entry);

#endif
