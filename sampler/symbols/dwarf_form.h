/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Values of attributes: how each form is stored, and what it means.
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_FORM_H
#define SAMPLER_SYMBOLS_DWARF_FORM_H

#include <stdint.h>

#include "sampler/symbols/dwarf_cursor.h"

/* What the sizes of forms depend on. */
struct dwarf_encoding {
	uint16_t version;
	uint8_t address_size;
	uint8_t offset_size; /* 4, or 8 in 64-bit DWARF */
};

enum dwarf_class {
	DWARF_ABSENT, /* also what has no use here: blocks, expressions, signatures */
	DWARF_NUMBER,
	DWARF_ADDRESS,
	DWARF_ADDRESS_INDEX,  /* into .debug_addr */
	DWARF_TEXT,	      /* in `text` */
	DWARF_TEXT_AT,	      /* offset in .debug_str */
	DWARF_LINE_TEXT_AT,   /* offset in .debug_line_str */
	DWARF_TEXT_INDEX,     /* into .debug_str_offsets */
	DWARF_SHARED_TEXT_AT, /* offset in .debug_str of the shared file */
	DWARF_UNIT_REFERENCE, /* to an entry, from the start of its unit */
	DWARF_REFERENCE,      /* to an entry, from the start of .debug_info */
	DWARF_SHARED_REFERENCE,
	DWARF_OFFSET, /* in a section that the attribute implies */
	DWARF_LIST_INDEX,
};

struct dwarf_value {
	enum dwarf_class class;
	uint64_t n;
	const char *text; /* DWARF_TEXT only; in the bytes that were read */
};

/* The bytes that a value of this form takes, or -1 when they vary or are unknown. */
int dwarf_form_size(uint16_t form, const struct dwarf_encoding *enc);

/* Reads one value.  An unknown form makes the cursor bad. */
void dwarf_form_read(struct dwarf_cursor *c, uint16_t form, int64_t implicit,
		     const struct dwarf_encoding *enc, struct dwarf_value *v);

#endif
