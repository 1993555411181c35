#include "sampler/symbols/dwarf_abbrev.h"

#include "sampler/base/cc.h"
#include "sampler/symbols/dwarf_codes.h"

#define FIRST_CODES    128
#define FIRST_SPECS    1024
#define SPECS_MAX      (1U << 20)
#define FIND_CODES_MAX 1000 /* looked through for one code */

/* Reads one (name, form) pair.  False at the pair of zeros that ends them, and at damage. */
static bool read_spec(struct dwarf_stream *st, struct dwarf_spec *spec)
{
	struct dwarf_cursor *c = dwarf_stream_next(st);
	uint64_t name = dwarf_uleb(c), form = dwarf_uleb(c);

	spec->name = (uint16_t)MIN(name, UINT16_MAX);
	spec->form = (uint16_t)MIN(form, UINT16_MAX);
	spec->implicit = form == FORM_IMPLICIT_CONST ? dwarf_sleb(c) : 0;
	return !c->bad && (name || form);
}

/* Reads code, tag and children flag; 0 is the end of the table. */
static uint64_t read_head(struct dwarf_stream *st, struct dwarf_abbrev *abbrev)
{
	struct dwarf_cursor *c = dwarf_stream_next(st);
	uint64_t code = dwarf_uleb(c), tag;

	if (code == 0)
		return 0;
	tag = dwarf_uleb(c);
	*abbrev = (struct dwarf_abbrev){ .tag = (uint16_t)MIN(tag, UINT16_MAX),
					 .has_children = dwarf_u8(c),
					 .is_defined = true };
	return c->bad ? 0 : code;
}

static bool make_room_for_code(struct dwarf_abbrevs *t, struct arena *a, uint64_t code)
{
	uint32_t room = MAX(t->room, FIRST_CODES);
	struct dwarf_abbrev *entry;

	if (code < t->room)
		return true;
	if (code >= DWARF_CODES_MAX)
		return false;
	while (room <= code)
		room *= 2;
	entry = arena_grow(a, t->entry, t->room * sizeof(*entry), room * sizeof(*entry));
	if (!entry)
		return false;
	t->entry = entry;
	t->room = room;
	return true;
}

static bool make_room_for_spec(struct dwarf_abbrevs *t, struct arena *a)
{
	uint32_t room = t->spec_room ? t->spec_room * 2 : FIRST_SPECS;
	struct dwarf_spec *spec;

	if (t->spec_count < t->spec_room)
		return true;
	if (room > SPECS_MAX)
		return false;
	spec = arena_grow(a, t->spec, t->spec_room * sizeof(*spec), room * sizeof(*spec));
	if (!spec)
		return false;
	t->spec = spec;
	t->spec_room = room;
	return true;
}

static void add_size(struct dwarf_abbrev *abbrev, uint16_t form, const struct dwarf_encoding *enc)
{
	int size = dwarf_form_size(form, enc);

	if (size < 0 || abbrev->size + size >= DWARF_SIZE_VARIES)
		abbrev->size = DWARF_SIZE_VARIES;
	else if (abbrev->size != DWARF_SIZE_VARIES)
		abbrev->size = (uint16_t)(abbrev->size + size);
}

static bool read_specs(struct dwarf_abbrevs *t, struct arena *a, struct dwarf_stream *st,
		       struct dwarf_abbrev *abbrev, const struct dwarf_encoding *enc)
{
	struct dwarf_spec spec;

	abbrev->first = t->spec_count;
	while (read_spec(st, &spec)) {
		if (!make_room_for_spec(t, a))
			return false;
		t->spec[t->spec_count++] = spec;
		add_size(abbrev, spec.form, enc);
	}
	abbrev->count = t->spec_count - abbrev->first;
	return !st->c.bad;
}

bool dwarf_abbrevs_read(struct dwarf_abbrevs *t, struct arena *a, const struct dwarf_section *s,
			uint64_t offset, const struct dwarf_encoding *enc)
{
	struct dwarf_stream st;
	struct dwarf_abbrev abbrev;
	uint64_t code;

	*t = (struct dwarf_abbrevs){ 0 };
	dwarf_stream_open(&st, s, offset);
	while ((code = read_head(&st, &abbrev)) != 0) {
		if (!read_specs(t, a, &st, &abbrev, enc) || !make_room_for_code(t, a, code))
			return false;
		t->entry[code] = abbrev;
	}
	return !st.c.bad;
}

/* Keeps the first specs; an entry with more than there is room for is of no use. */
static bool keep_specs(struct dwarf_stream *st, struct dwarf_abbrev *abbrev,
		       struct dwarf_spec keep[DWARF_ROOT_SPECS_MAX])
{
	struct dwarf_spec spec;

	while (read_spec(st, &spec)) {
		if (abbrev->count == DWARF_ROOT_SPECS_MAX)
			return false;
		keep[abbrev->count++] = spec;
	}
	return !st->c.bad;
}

bool dwarf_abbrev_find(const struct dwarf_section *s, uint64_t offset, uint64_t code,
		       struct dwarf_abbrev *abbrev, struct dwarf_spec spec[DWARF_ROOT_SPECS_MAX])
{
	struct dwarf_stream st;

	dwarf_stream_open(&st, s, offset);
	for (int i = 0; i < FIND_CODES_MAX; i++) {
		uint64_t found = read_head(&st, abbrev);

		if (found == 0 || !keep_specs(&st, abbrev, spec))
			return false;
		if (found == code)
			return true;
	}
	return false;
}
