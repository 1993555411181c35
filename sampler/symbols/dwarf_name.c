#include "sampler/symbols/dwarf_name.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sort.h"
#include "sampler/base/utf8.h"
#include "sampler/symbols/demangle.h"

#define HOPS_MAX   16	/* from entry to entry on the way to a name */
#define LOAD_STEPS 4096 /* what reading the tables of a unit counts as */

/* A description in the making. */
struct search {
	struct dwarf_namer *n;
	struct dwarf_loaded *here;
	struct dwarf_function f;
	bool has_linkage_name;
	bool has_name;
	char name[MANGLED_MAX + 2];
};

bool dwarf_namer_init(struct dwarf_namer *n, struct dwarf *d, struct intern *strings,
		      struct arena *a)
{
	memset(n, 0, sizeof(*n));
	n->d = d;
	n->strings = strings;
	n->known = arena_array(a, DWARF_NAMER_KNOWN, sizeof(*n->known));
	return n->known;
}

void dwarf_namer_release(struct dwarf_namer *n)
{
	for (int i = 0; i < DWARF_NAMER_UNITS; i++)
		arena_release(&n->unit[i].arena);
}

/* The file that the entry is in, if it is one in which units refer to others'; or NULL. */
static struct dwarf *file_of(const struct dwarf_namer *n, uint64_t entry)
{
	if (entry >> DWARF_FILE_SHIFT == DWARF_SHARED_FILE)
		return n->d->shared;
	return entry >> DWARF_FILE_SHIFT == 0 ? n->d : NULL;
}

/* The offset of the unit that may hold the entry, or UINT64_MAX. */
static uint64_t unit_before(const struct dwarf *d, uint64_t entry)
{
	size_t behind = sort_lower_bound(d->unit, d->unit_count, entry - d->base);

	return behind ? d->unit[behind - 1] : UINT64_MAX;
}

static struct dwarf_namer_unit *least_recent(struct dwarf_namer *n)
{
	struct dwarf_namer_unit *oldest = &n->unit[0];

	for (int i = 1; i < DWARF_NAMER_UNITS; i++)
		if (n->unit[i].used < oldest->used)
			oldest = &n->unit[i];
	return oldest;
}

static bool load_unit(struct dwarf_namer_unit *at, struct dwarf *d, uint64_t offset)
{
	struct dwarf_unit *u = &at->loaded.u;
	struct dwarf_entry root;

	arena_release(&at->arena);
	at->arena.limit = DWARF_NAMER_UNIT_BYTES;
	at->is_valid = dwarf_spend(d->effort, LOAD_STEPS) && dwarf_unit_header(u, d, offset) &&
		       dwarf_unit_root(u, &root) && dwarf_unit_abbrevs(u, &at->arena);
	at->loaded.has_lines = at->is_valid && dwarf_lines_open(&at->loaded.lines, u, &at->arena);
	return at->is_valid;
}

static struct dwarf_loaded *other_unit(struct dwarf_namer *n, uint64_t entry)
{
	struct dwarf *d = file_of(n, entry);
	uint64_t offset = d ? unit_before(d, entry) : UINT64_MAX;
	struct dwarf_namer_unit *at = NULL;

	for (int i = 0; i < DWARF_NAMER_UNITS; i++)
		if (n->unit[i].is_valid && n->unit[i].loaded.u.d == d &&
		    n->unit[i].loaded.u.offset == offset)
			at = &n->unit[i];
	if (!at) {
		at = least_recent(n);
		if (offset == UINT64_MAX || !load_unit(at, d, offset))
			return NULL;
	}
	at->used = ++n->uses;
	return dwarf_unit_holds(&at->loaded.u, entry) ? &at->loaded : NULL;
}

static struct dwarf_loaded *unit_of(struct search *s, uint64_t entry)
{
	if (dwarf_unit_holds(&s->here->u, entry))
		return s->here;
	return other_unit(s->n, entry);
}

/* A linkage name tells scope and arguments; the plain name is for when there is none. */
static void take_names(struct search *s, const struct dwarf_unit *u, const struct dwarf_entry *e)
{
	const struct dwarf_value *linkage = &e->slot[SLOT_LINKAGE_NAME];
	const struct dwarf_value *plain = &e->slot[SLOT_NAME];

	if (s->has_linkage_name)
		return;
	if (linkage->class != DWARF_ABSENT) {
		s->has_linkage_name = dwarf_text(u, linkage, s->name, sizeof(s->name));
		s->has_name = false;
	} else if (!s->has_name && plain->class != DWARF_ABSENT) {
		s->has_name = dwarf_text(u, plain, s->name, sizeof(s->name));
	}
}

/* The first declaration on the way is that of the definition. */
static void take_declaration(struct search *s, struct dwarf_loaded *l, const struct dwarf_entry *e)
{
	if (s->f.line || e->slot[SLOT_DECL_LINE].class != DWARF_NUMBER)
		return;
	s->f.line = (uint32_t)e->slot[SLOT_DECL_LINE].n;
	if (l->has_lines)
		s->f.file = dwarf_line_path(&l->lines, s->n->strings, e->slot[SLOT_DECL_FILE].n);
}

static bool next_entry(const struct dwarf_unit *u, const struct dwarf_entry *e, uint64_t *entry)
{
	return dwarf_reference(u, &e->slot[SLOT_ORIGIN], entry) ||
	       dwarf_reference(u, &e->slot[SLOT_SPECIFICATION], entry);
}

static void follow(struct search *s, uint64_t entry)
{
	struct dwarf_loaded *l;
	struct dwarf_entry e;

	for (int hops = 0; hops < HOPS_MAX; hops++) {
		l = unit_of(s, entry);
		if (!l || !dwarf_entry_at(&l->u, entry, &e))
			return;
		take_names(s, &l->u, &e);
		take_declaration(s, l, &e);
		if (!next_entry(&l->u, &e, &entry))
			return;
	}
}

static void finish_name(struct search *s)
{
	char name[NAME_MAX_BYTES + 1], system[MANGLED_MAX + 2];
	size_t len;

	if (!s->has_linkage_name && !s->has_name)
		return;
	len = utf8_copy(system, sizeof(system), s->name, strlen(s->name));
	s->f.system_name = intern(s->n->strings, system, len);
	s->f.name = intern(s->n->strings, name, demangle(s->name, name));
	if (!s->f.system_name)
		s->f.name = NULL;
}

static NOINLINE struct dwarf_function search(struct dwarf_namer *n, struct dwarf_loaded *here,
					     uint64_t entry)
{
	struct search s = { .n = n, .here = here, .f.file = "" };

	follow(&s, entry);
	finish_name(&s);
	return s.f;
}

struct dwarf_function dwarf_describe(struct dwarf_namer *n, struct dwarf_loaded *here,
				     uint64_t entry)
{
	struct dwarf_known *k = &n->known[(entry ^ entry >> 12) % DWARF_NAMER_KNOWN];

	if (entry == UINT64_MAX || n->d->effort->is_spent)
		return (struct dwarf_function){ .file = "" };
	if (!k->is_valid || k->entry != entry) {
		k->function = search(n, here, entry);
		k->entry = entry;
		k->is_valid = true;
	}
	return k->function;
}
