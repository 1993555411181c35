/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Compile units: their headers, what their first entry says about all others,
 * and how entries and their values are read.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_UNIT_H
#define SAMPLER_SYMBOLS_DWARF_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_abbrev.h"
#include "sampler/symbols/dwarf_effort.h"
#include "sampler/symbols/dwarf_form.h"
#include "sampler/symbols/dwarf_section.h"

#define DWARF_WINDOW_BYTES 16384 /* an entry longer than that is not understood */

/*
 * An object's debug information may be in several files.  An entry is known by the
 * number of its file, above this bit, and its offset in .debug_info of that one.
 */
#define DWARF_FILE_SHIFT  40
#define DWARF_SHARED_FILE 1 /* what dwz moved there; 0 is the object itself */
#define DWARF_FIRST_SPLIT 2 /* from here on, units that are in files of their own */

/* The debug information of one file. */
struct dwarf {
	struct dwarf_section section[DWARF_SECTIONS];
	uint64_t base;	      /* the number of the file, shifted */
	struct dwarf *shared; /* what it has in common with other objects, or NULL */
	struct dwarf_effort *effort;
	uint8_t *window; /* of DWARF_WINDOW_BYTES, for one entry at a time */
	uint64_t *unit;	 /* offsets of all units, ascending */
	size_t unit_count;
	size_t unit_room;
};

struct dwarf_unit {
	struct dwarf *d;
	uint64_t offset; /* of the header in .debug_info */
	uint64_t first;	 /* of the first entry */
	uint64_t end;
	uint64_t abbrev_offset;
	struct dwarf_encoding enc;
	uint8_t type;
	uint64_t split_id; /* of a skeleton and its split unit; 0: none */

	/* From the first entry. */
	uint64_t low_pc; /* base of its ranges */
	uint64_t str_offsets_base;
	uint64_t addr_base;
	uint64_t rnglists_base;
	uint64_t ranges_base; /* a split unit's offsets in .debug_ranges are from here */
	uint64_t line_offset; /* of its line table; UINT64_MAX: it has none */

	struct dwarf_abbrevs abbrevs; /* empty until dwarf_unit_abbrevs() */
	const uint8_t *bytes;	      /* from `first` to `end`; NULL until dwarf_unit_load() */
};

/* The attributes that are kept of an entry. */
enum dwarf_slot {
	SLOT_NAME,
	SLOT_LINKAGE_NAME,
	SLOT_LOW_PC,
	SLOT_HIGH_PC,
	SLOT_RANGES,
	SLOT_ORIGIN, /* abstract origin */
	SLOT_SPECIFICATION,
	SLOT_DECL_FILE,
	SLOT_DECL_LINE,
	SLOT_CALL_FILE,
	SLOT_CALL_LINE,
	SLOT_LINE_TABLE,
	SLOT_DIRECTORY,
	SLOT_STR_OFFSETS_BASE,
	SLOT_ADDR_BASE,
	SLOT_RNGLISTS_BASE,
	SLOT_RANGES_BASE,
	SLOT_SPLIT_NAME,
	SLOT_SPLIT_ID,
	SLOT_COUNT
};

struct dwarf_entry {
	uint64_t entry; /* its file and offset */
	uint16_t tag;
	bool has_children;
	struct dwarf_value slot[SLOT_COUNT];
};

/* Reads the header at `offset`.  False at the end and at damage. */
bool dwarf_unit_header(struct dwarf_unit *u, struct dwarf *d, uint64_t offset);

/* Reads the first entry into `e` and fills in what `u` takes from it. */
bool dwarf_unit_root(struct dwarf_unit *u, struct dwarf_entry *e);

/* Reads the abbreviations, to understand more than the first entry. */
bool dwarf_unit_abbrevs(struct dwarf_unit *u, struct arena *a);

/* Brings all entries into memory, to read many of them. */
bool dwarf_unit_load(struct dwarf_unit *u, struct arena *a);

/* Reads the values of an entry at `c`, whose code has been read. */
void dwarf_entry_values(const struct dwarf_unit *u, struct dwarf_cursor *c,
			const struct dwarf_abbrev *abbrev, const struct dwarf_spec *spec,
			struct dwarf_entry *e);

/* Whether the entry is in this unit. */
bool dwarf_unit_holds(const struct dwarf_unit *u, uint64_t entry);

/* Reads an entry that is in `u`.  Texts go with the window. */
bool dwarf_entry_at(const struct dwarf_unit *u, uint64_t entry, struct dwarf_entry *e);

/* The address that a value means; false when it means none. */
bool dwarf_address(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *addr);

/* Copies the text that a value means, cut at size - 1.  Returns its length, or 0. */
size_t dwarf_text(const struct dwarf_unit *u, const struct dwarf_value *v, char *to, size_t size);

/* The entry that the value points to; false when it points to none, or into a file that is not
 * there. */
bool dwarf_reference(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *entry);

#endif
