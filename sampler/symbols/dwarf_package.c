/*
 * The index: a head, a hash table of ids, one of row numbers, the sections that the columns
 * stand for, a table of offsets and one of sizes.
 */
#include "sampler/symbols/dwarf_package.h"

#include <string.h>

#include "sampler/symbols/dwarf_codes.h"

#define HEAD_BYTES  16
#define COLUMNS_MAX 16
#define SLOTS_MAX   (1U << 24)

/* Version 2 is GNU's; 5 has its number in half of the word. */
static bool read_head(struct dwarf_package *p)
{
	uint32_t head[HEAD_BYTES / 4];

	if (!dwarf_read(&p->index, 0, head, sizeof(head)))
		return false;
	p->columns = head[1];
	p->units = head[2];
	p->slots = head[3];
	return (head[0] == 2 || (head[0] & 0xffff) == 5) && p->columns <= COLUMNS_MAX &&
	       p->slots <= SLOTS_MAX && p->slots && (p->slots & (p->slots - 1)) == 0 &&
	       p->units < p->slots;
}

bool dwarf_package_open(struct dwarf_package *p, struct arena *a, const char *path)
{
	if (!elf_open(&p->e, a, path))
		return false;
	p->is_open = dwarf_section_open(&p->index, a, &p->e, ".debug_cu_index") && read_head(p) &&
		     dwarf_sections_open(p->section, a, &p->e, ".dwo") == DWARF_FOUND;
	if (!p->is_open)
		elf_close(&p->e);
	return p->is_open;
}

/* The row of a unit, counted from 1; 0: it is not there. */
static uint32_t find_row(const struct dwarf_package *p, uint64_t id)
{
	uint64_t at = id, step = (id >> 32) | 1, found;
	uint32_t row;

	for (uint32_t i = 0; i < p->slots; i++, at += step) {
		uint64_t slot = at & (p->slots - 1);

		if (!dwarf_read(&p->index, HEAD_BYTES + slot * 8, &found, 8) ||
		    !dwarf_read(&p->index, HEAD_BYTES + p->slots * 8UL + slot * 4, &row, 4))
			return 0;
		if (row == 0 || found == id)
			return row <= p->units ? row : 0;
	}
	return 0;
}

static uint64_t columns_at(const struct dwarf_package *p)
{
	return HEAD_BYTES + p->slots * 12UL;
}

/* Offset and size of what a unit has in the section of a column. */
static bool read_part(const struct dwarf_package *p, uint32_t row, uint32_t column,
		      uint32_t part[2])
{
	uint64_t offsets = columns_at(p) + p->columns * 4UL;
	uint64_t sizes = offsets + (uint64_t)p->units * p->columns * 4;
	uint64_t at = ((row - 1UL) * p->columns + column) * 4;

	return dwarf_read(&p->index, offsets + at, &part[0], 4) &&
	       dwarf_read(&p->index, sizes + at, &part[1], 4);
}

static struct dwarf_section *section_of(struct dwarf_section section[DWARF_SECTIONS],
					uint32_t column)
{
	switch (column) {
	case COLUMN_INFO:
		return &section[DWARF_INFO];
	case COLUMN_ABBREV:
		return &section[DWARF_ABBREV];
	case COLUMN_STR_OFFSETS:
		return &section[DWARF_STR_OFFSETS];
	case COLUMN_RNGLISTS:
		return &section[DWARF_RNGLISTS];
	}
	return NULL;
}

static bool narrow(const struct dwarf_package *p, uint32_t row, uint32_t column,
		   struct dwarf_section section[DWARF_SECTIONS])
{
	struct dwarf_section *s;
	uint32_t what, part[2];

	if (!dwarf_read(&p->index, columns_at(p) + column * 4UL, &what, 4))
		return false;
	s = section_of(section, what);
	if (!s || !s->in)
		return true;
	return read_part(p, row, column, part) && dwarf_section_narrow(s, part[0], part[1]);
}

bool dwarf_package_find(const struct dwarf_package *p, uint64_t id,
			struct dwarf_section section[DWARF_SECTIONS])
{
	uint32_t row = p->is_open ? find_row(p, id) : 0;

	memcpy(section, p->section, sizeof(p->section));
	for (uint32_t i = 0; row && i < p->columns; i++)
		if (!narrow(p, row, i, section))
			return false;
	return row;
}

void dwarf_package_close(struct dwarf_package *p)
{
	elf_close(&p->e);
	p->is_open = false;
}
