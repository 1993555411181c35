/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Abbreviation tables: which attributes, in which forms, an entry of each code
 * has.  Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_ABBREV_H
#define SAMPLER_SYMBOLS_DWARF_ABBREV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_form.h"
#include "sampler/symbols/dwarf_section.h"

#define DWARF_CODES_MAX	     (1U << 18) /* tables with larger codes are refused */
#define DWARF_ROOT_SPECS_MAX 64		/* attributes of the first entry of a unit */
#define DWARF_SIZE_VARIES    UINT16_MAX

/* One attribute of an abbreviation. */
struct dwarf_spec {
	uint16_t name;
	uint16_t form;
	int64_t implicit; /* the value, with FORM_IMPLICIT_CONST */
};

struct dwarf_abbrev {
	uint32_t first; /* of its specs in the table */
	uint32_t count;
	uint16_t tag;
	uint16_t size; /* of all values together, or DWARF_SIZE_VARIES */
	bool has_children;
	bool is_defined;
};

struct dwarf_abbrevs {
	struct dwarf_abbrev *entry; /* by code; producers number from 1 without gaps */
	uint32_t room;		    /* codes below this are in `entry` */
	struct dwarf_spec *spec;
	uint32_t spec_count;
	uint32_t spec_room;
};

/* Reads the table at `offset`.  False when it is damaged or memory ran out. */
bool dwarf_abbrevs_read(struct dwarf_abbrevs *t, struct arena *a, const struct dwarf_section *s,
			uint64_t offset, const struct dwarf_encoding *enc);

/* The abbreviation with that code, or NULL. */
static inline const struct dwarf_abbrev *dwarf_abbrev(const struct dwarf_abbrevs *t, uint64_t code)
{
	return code < t->room && t->entry[code].is_defined ? &t->entry[code] : NULL;
}

/*
 * Finds one code without reading the table as a whole; it is expected to be
 * among the first.  Its specs go to `spec`.
 */
bool dwarf_abbrev_find(const struct dwarf_section *s, uint64_t offset, uint64_t code,
		       struct dwarf_abbrev *abbrev, struct dwarf_spec spec[DWARF_ROOT_SPECS_MAX]);

#endif
