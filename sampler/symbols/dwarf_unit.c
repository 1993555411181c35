#include "sampler/symbols/dwarf_unit.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/symbols/dwarf_codes.h"

#define HEADER_BYTES_MAX 40
#define FIRST_TRY	 1024 /* most entries are shorter */
#define UNIT_BYTES_MAX	 (16UL << 20)

static bool read_initial_length(struct dwarf_unit *u, struct dwarf_cursor *c)
{
	uint64_t length = dwarf_fixed(c, 4);
	uint64_t size_of_length = 4;

	u->enc.offset_size = 4;
	if (length == 0xffffffff) {
		length = dwarf_fixed(c, 8);
		size_of_length = 12;
		u->enc.offset_size = 8;
	} else if (length >= 0xfffffff0) {
		return false;
	}
	return !c->bad && !__builtin_add_overflow(u->offset + size_of_length, length, &u->end) &&
	       u->end <= u->d->section[DWARF_INFO].size && u->end >> DWARF_FILE_SHIFT == 0;
}

/* Version 5 put the fields into another order and added kinds of units. */
static void read_rest_of_header(struct dwarf_unit *u, struct dwarf_cursor *c)
{
	u->type = UNIT_COMPILE;
	if (u->enc.version < 5) {
		u->abbrev_offset = dwarf_fixed(c, u->enc.offset_size);
		u->enc.address_size = dwarf_u8(c);
		return;
	}
	u->type = dwarf_u8(c);
	u->enc.address_size = dwarf_u8(c);
	u->abbrev_offset = dwarf_fixed(c, u->enc.offset_size);
	if (u->type == UNIT_SKELETON || u->type == UNIT_SPLIT_COMPILE)
		u->split_id = dwarf_fixed(c, 8);
	if (u->type == UNIT_TYPE || u->type == UNIT_SPLIT_TYPE)
		dwarf_skip(c, 8U + u->enc.offset_size);
}

bool dwarf_unit_header(struct dwarf_unit *u, struct dwarf *d, uint64_t offset)
{
	uint8_t buf[HEADER_BYTES_MAX];
	size_t len = dwarf_read_some(&d->section[DWARF_INFO], offset, buf, sizeof(buf));
	struct dwarf_cursor c = { .at = buf, .end = buf + len };

	*u = (struct dwarf_unit){ .d = d, .offset = offset, .line_offset = UINT64_MAX };
	if (!read_initial_length(u, &c))
		return false;
	u->enc.version = dwarf_u16(&c);
	read_rest_of_header(u, &c);
	u->first = offset + (uint64_t)(c.at - buf);
	return !c.bad && u->first <= u->end;
}

static enum dwarf_slot slot_of(uint16_t attribute)
{
	switch (attribute) {
	case AT_NAME:
		return SLOT_NAME;
	case AT_LINKAGE_NAME:
	case AT_MIPS_LINKAGE_NAME:
		return SLOT_LINKAGE_NAME;
	case AT_LOW_PC:
		return SLOT_LOW_PC;
	case AT_HIGH_PC:
		return SLOT_HIGH_PC;
	case AT_RANGES:
		return SLOT_RANGES;
	case AT_ABSTRACT_ORIGIN:
		return SLOT_ORIGIN;
	case AT_SPECIFICATION:
		return SLOT_SPECIFICATION;
	case AT_DECL_FILE:
		return SLOT_DECL_FILE;
	case AT_DECL_LINE:
		return SLOT_DECL_LINE;
	case AT_CALL_FILE:
		return SLOT_CALL_FILE;
	case AT_CALL_LINE:
		return SLOT_CALL_LINE;
	case AT_STMT_LIST:
		return SLOT_LINE_TABLE;
	case AT_COMP_DIR:
		return SLOT_DIRECTORY;
	case AT_STR_OFFSETS_BASE:
		return SLOT_STR_OFFSETS_BASE;
	case AT_ADDR_BASE:
	case AT_GNU_ADDR_BASE:
		return SLOT_ADDR_BASE;
	case AT_RNGLISTS_BASE:
		return SLOT_RNGLISTS_BASE;
	case AT_GNU_RANGES_BASE:
		return SLOT_RANGES_BASE;
	case AT_DWO_NAME:
	case AT_GNU_DWO_NAME:
		return SLOT_SPLIT_NAME;
	case AT_GNU_DWO_ID:
		return SLOT_SPLIT_ID;
	}
	return SLOT_COUNT;
}

void dwarf_entry_values(const struct dwarf_unit *u, struct dwarf_cursor *c,
			const struct dwarf_abbrev *abbrev, const struct dwarf_spec *spec,
			struct dwarf_entry *e)
{
	struct dwarf_value unused;

	memset(e->slot, 0, sizeof(e->slot));
	e->tag = abbrev->tag;
	e->has_children = abbrev->has_children;
	for (uint32_t i = 0; i < abbrev->count && !c->bad; i++) {
		enum dwarf_slot slot = slot_of(spec[i].name);

		dwarf_form_read(c, spec[i].form, spec[i].implicit, &u->enc,
				slot == SLOT_COUNT ? &unused : &e->slot[slot]);
	}
}

/* The first bytes of what is at `offset`: in memory, or brought into the window. */
static struct dwarf_cursor window_at(const struct dwarf_unit *u, uint64_t offset, size_t len)
{
	const struct dwarf *d = u->d;
	const uint8_t *at = d->window;

	if (offset < u->first || offset >= u->end)
		return (struct dwarf_cursor){ .at = at, .end = at };
	len = MIN(len, u->end - offset);
	if (u->bytes)
		at = u->bytes + (offset - u->first);
	else
		len = dwarf_read_some(&d->section[DWARF_INFO], offset, d->window, len);
	return (struct dwarf_cursor){ .at = at, .end = at + len };
}

static bool is_supported(const struct dwarf_unit *u)
{
	return u->enc.version >= 2 && u->enc.version <= 5 && u->enc.address_size == 8;
}

static bool read_root(const struct dwarf_unit *u, struct dwarf_entry *e, size_t window)
{
	struct dwarf_spec spec[DWARF_ROOT_SPECS_MAX];
	struct dwarf_cursor c = window_at(u, u->first, window);
	uint64_t code = dwarf_uleb(&c);
	struct dwarf_abbrev abbrev;

	if (c.bad || code == 0 ||
	    !dwarf_abbrev_find(&u->d->section[DWARF_ABBREV], u->abbrev_offset, code, &abbrev, spec))
		return false;
	dwarf_entry_values(u, &c, &abbrev, spec, e);
	e->entry = u->d->base | u->first;
	return !c.bad;
}

/*
 * Without an attribute, a base points behind the header of the section's first table,
 * which there is since version 5.
 */
static uint64_t base_of(const struct dwarf_value *v, uint64_t otherwise)
{
	return v->class == DWARF_OFFSET || v->class == DWARF_NUMBER ? v->n : otherwise;
}

static void take_bases(struct dwarf_unit *u, const struct dwarf_entry *e)
{
	bool is_wide = u->enc.offset_size == 8;
	uint64_t header = u->enc.version < 5 ? 0 : is_wide ? 16 : 8;

	u->str_offsets_base = base_of(&e->slot[SLOT_STR_OFFSETS_BASE], header);
	u->addr_base = base_of(&e->slot[SLOT_ADDR_BASE], header);
	u->rnglists_base = base_of(&e->slot[SLOT_RNGLISTS_BASE], is_wide ? 20 : 12);
	u->line_offset = base_of(&e->slot[SLOT_LINE_TABLE], UINT64_MAX);
	if (!u->split_id)
		u->split_id = base_of(&e->slot[SLOT_SPLIT_ID], 0);
}

bool dwarf_unit_root(struct dwarf_unit *u, struct dwarf_entry *e)
{
	if (!is_supported(u) ||
	    (!read_root(u, e, FIRST_TRY) && !read_root(u, e, DWARF_WINDOW_BYTES)))
		return false;
	take_bases(u, e);
	if (!dwarf_address(u, &e->slot[SLOT_LOW_PC], &u->low_pc))
		u->low_pc = 0;
	return true;
}

bool dwarf_unit_abbrevs(struct dwarf_unit *u, struct arena *a)
{
	return dwarf_abbrevs_read(&u->abbrevs, a, &u->d->section[DWARF_ABBREV], u->abbrev_offset,
				  &u->enc);
}

bool dwarf_unit_load(struct dwarf_unit *u, struct arena *a)
{
	uint64_t size = u->end - u->first;

	if (size <= UNIT_BYTES_MAX)
		u->bytes = dwarf_view(&u->d->section[DWARF_INFO], a, u->first, size);
	return u->bytes;
}

static bool read_entry(const struct dwarf_unit *u, uint64_t offset, size_t window,
		       struct dwarf_entry *e)
{
	struct dwarf_cursor c = window_at(u, offset, window);
	const struct dwarf_abbrev *abbrev = dwarf_abbrev(&u->abbrevs, dwarf_uleb(&c));

	if (!abbrev)
		return false;
	dwarf_entry_values(u, &c, abbrev, u->abbrevs.spec + abbrev->first, e);
	e->entry = u->d->base | offset;
	return !c.bad;
}

bool dwarf_unit_holds(const struct dwarf_unit *u, uint64_t entry)
{
	uint64_t offset = entry - u->d->base;

	return offset >= u->first && offset < u->end;
}

bool dwarf_entry_at(const struct dwarf_unit *u, uint64_t entry, struct dwarf_entry *e)
{
	uint64_t offset = entry - u->d->base;

	return read_entry(u, offset, FIRST_TRY, e) || read_entry(u, offset, DWARF_WINDOW_BYTES, e);
}

/* Reads element `index` of a table of numbers. */
static bool read_element(const struct dwarf_section *s, uint64_t base, uint64_t index, size_t size,
			 uint64_t *n)
{
	uint64_t at;

	*n = 0;
	return !__builtin_mul_overflow(index, size, &at) &&
	       !__builtin_add_overflow(at, base, &at) && dwarf_read(s, at, n, size);
}

bool dwarf_address(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *addr)
{
	*addr = v->n;
	if (v->class == DWARF_ADDRESS_INDEX)
		return read_element(&u->d->section[DWARF_ADDR], u->addr_base, v->n,
				    u->enc.address_size, addr);
	return v->class == DWARF_ADDRESS;
}

static size_t text_at(const struct dwarf_section *s, uint64_t offset, char *to, size_t size)
{
	size_t got = dwarf_read_some(s, offset, to, MIN(size - 1, 200UL));

	if (got == 200 && !memchr(to, '\0', got))
		got = dwarf_read_some(s, offset, to, size - 1);
	to[got] = '\0';
	return strlen(to);
}

static size_t text_here(const char *text, char *to, size_t size)
{
	size_t len = strnlen(text, size - 1);

	memcpy(to, text, len);
	to[len] = '\0';
	return len;
}

size_t dwarf_text(const struct dwarf_unit *u, const struct dwarf_value *v, char *to, size_t size)
{
	const struct dwarf_section *s = u->d->section;
	uint64_t offset;

	switch (v->class) {
	case DWARF_TEXT:
		return text_here(v->text, to, size);
	case DWARF_TEXT_AT:
		return text_at(&s[DWARF_STR], v->n, to, size);
	case DWARF_LINE_TEXT_AT:
		return text_at(&s[DWARF_LINE_STR], v->n, to, size);
	case DWARF_SHARED_TEXT_AT:
		if (u->d->shared)
			return text_at(&u->d->shared->section[DWARF_STR], v->n, to, size);
		break;
	case DWARF_TEXT_INDEX:
		if (read_element(&s[DWARF_STR_OFFSETS], u->str_offsets_base, v->n,
				 u->enc.offset_size, &offset))
			return text_at(&s[DWARF_STR], offset, to, size);
		break;
	default:
		break;
	}
	return text_here("", to, size);
}

/* The file that a reference leads into, or NULL. */
static const struct dwarf *file_of(const struct dwarf_unit *u, enum dwarf_class class)
{
	if (class == DWARF_SHARED_REFERENCE)
		return u->d->shared;
	return class == DWARF_UNIT_REFERENCE || class == DWARF_REFERENCE ? u->d : NULL;
}

bool dwarf_reference(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *entry)
{
	const struct dwarf *d = file_of(u, v->class);
	uint64_t at = v->n;

	if (v->class == DWARF_UNIT_REFERENCE && __builtin_add_overflow(u->offset, v->n, &at))
		return false;
	if (!d || at >> DWARF_FILE_SHIFT)
		return false;
	*entry = d->base | at;
	return true;
}
