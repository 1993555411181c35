#include "sampler/symbols/dwarf_split.h"

#include <string.h>

#include "sampler/base/text.h"
#include "sampler/process/module.h"
#include "sampler/symbols/dwarf_codes.h"

#define PATH_BYTES (2 * MODULE_PATH_MAX)
#define UNITS_MAX  4096 /* of one .dwo file; all but one describe types */

bool dwarf_split_is_skeleton(const struct dwarf_unit *u, const struct dwarf_entry *root)
{
	return u->split_id && root->slot[SLOT_SPLIT_NAME].class != DWARF_ABSENT;
}

/* What the part in the object knows for both, and sections that only the object has. */
static void take_over(struct dwarf_split_unit *s, const struct dwarf_unit *skeleton,
		      const struct dwarf_entry *root)
{
	static const enum dwarf_section_id objects[] = { DWARF_ADDR, DWARF_LINE, DWARF_LINE_STR,
							 DWARF_RANGES };

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		s->d.section[objects[i]] = skeleton->d->section[objects[i]];
	s->u.low_pc = skeleton->low_pc;
	s->u.addr_base = skeleton->addr_base;
	s->u.line_offset = skeleton->line_offset;
	if (root->slot[SLOT_RANGES_BASE].class != DWARF_ABSENT)
		s->u.ranges_base = root->slot[SLOT_RANGES_BASE].n;
}

/* The number is in the header since version 5, and before in the first entry. */
static bool find_unit(struct dwarf_split_unit *s, uint64_t id)
{
	struct dwarf_entry root;
	uint64_t at = 0;

	for (int i = 0; i < UNITS_MAX && dwarf_unit_header(&s->u, &s->d, at); i++, at = s->u.end)
		if ((s->u.type == UNIT_SPLIT_COMPILE || s->u.enc.version < 5) &&
		    dwarf_unit_root(&s->u, &root) && s->u.split_id == id)
			return true;
	return false;
}

static bool open_file(struct dwarf_split_unit *s, uint64_t id, const char *path, struct arena *a)
{
	if (path[0] != '/' || !elf_open(&s->e, a, path))
		return false;
	if (dwarf_sections_open(s->d.section, a, &s->e, ".dwo") == DWARF_FOUND && find_unit(s, id))
		return true;
	elf_close(&s->e);
	return false;
}

/* Appends a path, which may be absolute and make what is before it irrelevant. */
static void append_path(struct text *t, const struct dwarf_unit *u, const struct dwarf_value *v)
{
	char part[MODULE_PATH_MAX];

	dwarf_text(u, v, part, sizeof(part));
	if (part[0] == '/')
		t->len = 0;
	else if (t->len && t->at[t->len - 1] != '/')
		text_char(t, '/');
	text_str(t, part);
}

static void begin_at_object(struct text *t, const struct dwarf_split *all)
{
	t->len = 0;
	if (elf_path(all->e, t->at, MODULE_PATH_MAX))
		t->len = (size_t)(strrchr(t->at, '/') + 1 - t->at);
}

/* Where the compiler left the file, and beside the object. */
struct places {
	char made[PATH_BYTES], beside[PATH_BYTES];
	bool are_cut;
};

static void list_places(struct places *p, const struct dwarf_split *all, const struct dwarf_unit *u,
			const struct dwarf_entry *root)
{
	struct text made = TEXT_INIT(p->made), beside = TEXT_INIT(p->beside);

	begin_at_object(&made, all);
	append_path(&made, u, &root->slot[SLOT_DIRECTORY]);
	append_path(&made, u, &root->slot[SLOT_SPLIT_NAME]);
	begin_at_object(&beside, all);
	append_path(&beside, u, &root->slot[SLOT_SPLIT_NAME]);
	p->are_cut = made.cut || beside.cut;
}

static bool open_file_at(struct dwarf_split_unit *s, uint64_t id, const struct places *p,
			 struct arena *a)
{
	return !p->are_cut && (open_file(s, id, p->made, a) || open_file(s, id, p->beside, a));
}

static bool try_package(struct dwarf_split *all, struct arena *a, char path[PATH_BYTES])
{
	struct text t = { .at = path, .len = strlen(path), .size = PATH_BYTES };

	text_str(&t, ".dwp");
	return !t.cut && path[0] == '/' && dwarf_package_open(&all->package, a, path);
}

/* Beside the object: as the loader knows it, and without links. */
static void look_for_package(struct dwarf_split *all, struct arena *a)
{
	char path[PATH_BYTES];
	struct text t = TEXT_INIT(path);

	all->was_looked_for = true;
	text_str(&t, all->path);
	if (!try_package(all, a, path) && elf_path(all->e, path, MODULE_PATH_MAX))
		try_package(all, a, path);
}

static bool open_in_package(struct dwarf_split_unit *s, struct dwarf_split *all,
			    struct arena *lasting, uint64_t id)
{
	if (!all->was_looked_for)
		look_for_package(all, lasting);
	return dwarf_package_find(&all->package, id, s->d.section) && find_unit(s, id);
}

bool dwarf_split_open(struct dwarf_split_unit *s, struct dwarf_split *all, struct arena *lasting,
		      const struct dwarf_unit *skeleton, const struct dwarf_entry *root,
		      struct arena *a)
{
	struct places places = { 0 };
	bool found;

	list_places(&places, all, skeleton, root); /* before others come into the window */
	memset(s, 0, sizeof(*s));
	s->d.effort = skeleton->d->effort;
	s->d.window = skeleton->d->window;
	s->d.base = (DWARF_FIRST_SPLIT + all->opened++) << DWARF_FILE_SHIFT;
	found = open_in_package(s, all, lasting, skeleton->split_id) ||
		open_file_at(s, skeleton->split_id, &places, a);
	if (found)
		take_over(s, skeleton, root);
	return found;
}

void dwarf_split_close(struct dwarf_split_unit *s)
{
	elf_close(&s->e);
}
