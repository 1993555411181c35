#include "sampler/symbols/dwarf_line.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/symbols/dwarf_codes.h"

#define HEADER_BYTES_MAX (4UL << 20)
#define NAMES_MAX	 (1U << 16) /* directories or files of one table */
#define FIRST_NAMES	 16
#define FORMATS_MAX	 16

/* Directories or files while they are being read. */
struct names {
	struct dwarf_line_name *at;
	uint32_t count;
	uint32_t room;
};

static bool add_name(struct names *n, struct arena *a, const struct dwarf_line_name *name)
{
	if (n->count == n->room) {
		uint32_t room = n->room ? n->room * 2 : FIRST_NAMES;

		if (room > NAMES_MAX)
			return false;
		n->at = arena_grow(a, n->at, n->room * sizeof(*n->at), room * sizeof(*n->at));
		if (!n->at)
			return false;
		n->room = room;
	}
	n->at[n->count++] = *name;
	return true;
}

/* Up to version 4: strings one after another, an empty one is the last. */
static bool read_old_names(struct dwarf_cursor *c, struct arena *a, bool are_files, struct names *n)
{
	struct dwarf_line_name name = { .name.class = DWARF_TEXT };

	for (;;) {
		name.name.text = dwarf_string_here(c);
		if (c->bad || !name.name.text[0])
			return !c->bad;
		if (are_files) {
			name.directory = dwarf_uleb(c);
			dwarf_uleb(c); /* time of change */
			dwarf_uleb(c); /* size */
		}
		if (!add_name(n, a, &name))
			return false;
	}
}

/* What each name consists of, in version 5. */
struct formats {
	uint64_t content[FORMATS_MAX];
	uint16_t form[FORMATS_MAX];
	unsigned count;
};

static bool read_formats(struct dwarf_cursor *c, struct formats *f)
{
	f->count = dwarf_u8(c);
	if (f->count > FORMATS_MAX)
		return false;
	for (unsigned i = 0; i < f->count; i++) {
		f->content[i] = dwarf_uleb(c);
		f->form[i] = (uint16_t)dwarf_uleb(c);
	}
	return !c->bad;
}

static void read_new_name(struct dwarf_cursor *c, const struct formats *f,
			  const struct dwarf_encoding *enc, struct dwarf_line_name *name)
{
	struct dwarf_value v;

	memset(name, 0, sizeof(*name));
	for (unsigned i = 0; i < f->count; i++) {
		dwarf_form_read(c, f->form[i], 0, enc, &v);
		if (f->content[i] == CONTENT_PATH)
			name->name = v;
		else if (f->content[i] == CONTENT_DIRECTORY_INDEX)
			name->directory = v.n;
	}
}

static bool read_new_names(struct dwarf_cursor *c, struct arena *a,
			   const struct dwarf_encoding *enc, struct names *n)
{
	struct dwarf_line_name name;
	struct formats f;
	uint64_t count;

	if (!read_formats(c, &f))
		return false;
	count = dwarf_uleb(c);
	if (count > NAMES_MAX)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		read_new_name(c, &f, enc, &name);
		if (c->bad || !add_name(n, a, &name))
			return false;
	}
	return !c->bad;
}

static bool read_names(struct dwarf_lines *t, struct dwarf_cursor *c, struct arena *a)
{
	struct names dirs = { 0 }, files = { 0 };
	bool is_new = t->enc.version >= 5;
	bool ok = is_new ? read_new_names(c, a, &t->enc, &dirs) &&
				   read_new_names(c, a, &t->enc, &files)
			 : read_old_names(c, a, false, &dirs) && read_old_names(c, a, true, &files);

	t->dir = dirs.at;
	t->dir_count = dirs.count;
	t->file = files.at;
	t->file_count = files.count;
	t->path = arena_array(a, files.count, sizeof(*t->path));
	return ok && t->path;
}

static void read_opcode_lengths(struct dwarf_lines *t, struct dwarf_cursor *c)
{
	for (unsigned i = 1; i < t->opcode_base; i++)
		t->operands[i] = dwarf_u8(c);
}

/* What stands between the length of the header and the names. */
static bool read_parameters(struct dwarf_lines *t, struct dwarf_cursor *c)
{
	t->instruction_length = dwarf_u8(c);
	if (t->enc.version >= 4)
		dwarf_u8(c); /* operations an instruction: 1 on this machine */
	dwarf_u8(c);	     /* is_stmt by default */
	t->line_base = (int8_t)dwarf_u8(c);
	t->line_range = dwarf_u8(c);
	t->opcode_base = dwarf_u8(c);
	read_opcode_lengths(t, c);
	return !c->bad && t->line_range != 0 && t->opcode_base != 0;
}

/* Sets `end` and the size of offsets; returns the offset behind the length, or 0. */
static uint64_t read_length(struct dwarf_lines *t, uint64_t offset)
{
	const struct dwarf_section *s = &t->u->d->section[DWARF_LINE];
	uint64_t length = 0, at = offset + 4;

	t->enc.offset_size = 4;
	if (!dwarf_read(s, offset, &length, 4))
		return 0;
	if (length == 0xffffffff) {
		if (!dwarf_read(s, at, &length, 8))
			return 0;
		at += 8;
		t->enc.offset_size = 8;
	}
	if (length > s->size - at)
		return 0;
	t->end = at + length;
	return at;
}

/* Reads version and header length; returns the offset behind them, or 0. */
static uint64_t read_start(struct dwarf_lines *t, uint64_t at)
{
	const struct dwarf_section *s = &t->u->d->section[DWARF_LINE];
	uint8_t buf[12];
	struct dwarf_cursor c = { .at = buf, .end = buf + sizeof(buf) };
	uint64_t header_length;

	if (!dwarf_read(s, at, buf, sizeof(buf)))
		return 0;
	t->enc.version = dwarf_u16(&c);
	t->enc.address_size = 8;
	if (t->enc.version < 2 || t->enc.version > 5)
		return 0;
	if (t->enc.version == 5)
		dwarf_u16(&c); /* sizes of addresses and segment selectors */
	header_length = dwarf_fixed(&c, t->enc.offset_size);
	at += (uint64_t)(c.at - buf);
	if (header_length > HEADER_BYTES_MAX || at > t->end || header_length > t->end - at)
		return 0;
	t->program = at + header_length;
	return at;
}

static const char *copy_directory(const struct dwarf_unit *u, struct arena *a)
{
	struct dwarf_unit again = *u;
	char buf[DWARF_PATH_BYTES];
	struct dwarf_entry root;

	if (!dwarf_unit_root(&again, &root))
		return NULL;
	return arena_strndup(a, buf, dwarf_text(u, &root.slot[SLOT_DIRECTORY], buf, sizeof(buf)));
}

bool dwarf_lines_open(struct dwarf_lines *t, const struct dwarf_unit *u, struct arena *a)
{
	const struct dwarf_section *s = &u->d->section[DWARF_LINE];
	struct dwarf_cursor c = { 0 };
	uint64_t at;

	*t = (struct dwarf_lines){ .u = u };
	if (u->line_offset > s->size)
		return false;
	at = read_length(t, u->line_offset);
	at = at ? read_start(t, at) : 0;
	c.at = at ? dwarf_view(s, a, at, t->program - at) : NULL;
	if (!c.at)
		return false;
	c.end = c.at + (t->program - at);
	t->directory = copy_directory(u, a);
	return t->directory && read_parameters(t, &c) && read_names(t, &c, a);
}
