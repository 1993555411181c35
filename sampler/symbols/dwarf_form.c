#include "sampler/symbols/dwarf_form.h"

#include <stdbool.h>

#include "sampler/symbols/dwarf_codes.h"

#define INDIRECTIONS_MAX 4

int dwarf_form_size(uint16_t form, const struct dwarf_encoding *enc)
{
	switch (form) {
	case FORM_FLAG_PRESENT:
	case FORM_IMPLICIT_CONST:
		return 0;
	case FORM_DATA1:
	case FORM_REF1:
	case FORM_FLAG:
	case FORM_STRX1:
	case FORM_ADDRX1:
		return 1;
	case FORM_DATA2:
	case FORM_REF2:
	case FORM_STRX2:
	case FORM_ADDRX2:
		return 2;
	case FORM_STRX3:
	case FORM_ADDRX3:
		return 3;
	case FORM_DATA4:
	case FORM_REF4:
	case FORM_STRX4:
	case FORM_ADDRX4:
	case FORM_REF_SUP4:
		return 4;
	case FORM_DATA8:
	case FORM_REF8:
	case FORM_REF_SIG8:
	case FORM_REF_SUP8:
		return 8;
	case FORM_DATA16:
		return 16;
	case FORM_ADDR:
		return enc->address_size;
	case FORM_REF_ADDR:
		return enc->version == 2 ? enc->address_size : enc->offset_size;
	case FORM_STRP:
	case FORM_LINE_STRP:
	case FORM_SEC_OFFSET:
	case FORM_STRP_SUP:
	case FORM_GNU_STRP_ALT:
	case FORM_GNU_REF_ALT:
		return enc->offset_size;
	}
	return -1;
}

static enum dwarf_class class_of(uint16_t form)
{
	switch (form) {
	case FORM_DATA1:
	case FORM_DATA2:
	case FORM_DATA4:
	case FORM_DATA8:
	case FORM_UDATA:
	case FORM_SDATA:
	case FORM_IMPLICIT_CONST:
	case FORM_FLAG:
		return DWARF_NUMBER;
	case FORM_ADDR:
		return DWARF_ADDRESS;
	case FORM_ADDRX:
	case FORM_ADDRX1:
	case FORM_ADDRX2:
	case FORM_ADDRX3:
	case FORM_ADDRX4:
	case FORM_GNU_ADDR_INDEX:
		return DWARF_ADDRESS_INDEX;
	case FORM_STRING:
		return DWARF_TEXT;
	case FORM_STRP:
		return DWARF_TEXT_AT;
	case FORM_LINE_STRP:
		return DWARF_LINE_TEXT_AT;
	case FORM_STRX:
	case FORM_STRX1:
	case FORM_STRX2:
	case FORM_STRX3:
	case FORM_STRX4:
	case FORM_GNU_STR_INDEX:
		return DWARF_TEXT_INDEX;
	case FORM_STRP_SUP:
	case FORM_GNU_STRP_ALT:
		return DWARF_SHARED_TEXT_AT;
	case FORM_REF1:
	case FORM_REF2:
	case FORM_REF4:
	case FORM_REF8:
	case FORM_REF_UDATA:
		return DWARF_UNIT_REFERENCE;
	case FORM_REF_ADDR:
		return DWARF_REFERENCE;
	case FORM_REF_SUP4:
	case FORM_REF_SUP8:
	case FORM_GNU_REF_ALT:
		return DWARF_SHARED_REFERENCE;
	case FORM_SEC_OFFSET:
		return DWARF_OFFSET;
	case FORM_RNGLISTX:
		return DWARF_LIST_INDEX;
	}
	return DWARF_ABSENT;
}

/* Forms whose size stands in the value itself. */
static void read_variable(struct dwarf_cursor *c, uint16_t form, struct dwarf_value *v)
{
	switch (form) {
	case FORM_STRING:
		v->text = dwarf_string_here(c);
		break;
	case FORM_SDATA:
		v->n = (uint64_t)dwarf_sleb(c);
		break;
	case FORM_UDATA:
	case FORM_REF_UDATA:
	case FORM_STRX:
	case FORM_ADDRX:
	case FORM_RNGLISTX:
	case FORM_LOCLISTX:
	case FORM_GNU_ADDR_INDEX:
	case FORM_GNU_STR_INDEX:
		v->n = dwarf_uleb(c);
		break;
	case FORM_BLOCK1:
		dwarf_skip(c, dwarf_u8(c));
		break;
	case FORM_BLOCK2:
		dwarf_skip(c, dwarf_u16(c));
		break;
	case FORM_BLOCK4:
		dwarf_skip(c, dwarf_fixed(c, 4));
		break;
	case FORM_BLOCK:
	case FORM_EXPRLOC:
		dwarf_skip(c, dwarf_uleb(c));
		break;
	default:
		c->bad = true;
	}
}

static void read_direct(struct dwarf_cursor *c, uint16_t form, const struct dwarf_encoding *enc,
			struct dwarf_value *v)
{
	int size = dwarf_form_size(form, enc);

	v->class = class_of(form);
	v->n = 0;
	v->text = "";
	if (size < 0)
		read_variable(c, form, v);
	else if (size <= 8)
		v->n = dwarf_fixed(c, (size_t)size);
	else
		dwarf_skip(c, (uint64_t)size);
}

void dwarf_form_read(struct dwarf_cursor *c, uint16_t form, int64_t implicit,
		     const struct dwarf_encoding *enc, struct dwarf_value *v)
{
	for (int i = 0; form == FORM_INDIRECT && i < INDIRECTIONS_MAX; i++)
		form = (uint16_t)dwarf_uleb(c);
	read_direct(c, form, enc, v);
	if (form == FORM_IMPLICIT_CONST)
		v->n = (uint64_t)implicit;
	if (c->bad)
		v->class = DWARF_ABSENT;
}
