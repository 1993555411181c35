#include "sampler/symbols/dwarf_owner.h"

#include "sampler/base/cc.h"
#include "sampler/symbols/dwarf_codes.h"
#include "sampler/symbols/dwarf_range.h"

#define FIRST_UNITS 1024
#define UNITS_MAX   (1U << 20)

struct walk {
	struct dwarf_owners *o;
	struct dwarf *d;
	const uint64_t *addr;
	size_t count;
	bool *is_owned; /* by address: the first unit keeps it */
	uint64_t unit;	/* at work */
};

static bool note_unit(struct dwarf *d, struct arena *a, uint64_t offset)
{
	size_t room = d->unit_room ? d->unit_room * 2 : FIRST_UNITS;
	uint64_t *unit;

	if (d->unit_count == d->unit_room) {
		if (room > UNITS_MAX)
			return false;
		unit = arena_grow(a, d->unit, d->unit_room * sizeof(*unit), room * sizeof(*unit));
		if (!unit)
			return false;
		d->unit = unit;
		d->unit_room = room;
	}
	d->unit[d->unit_count++] = offset;
	return true;
}

static void own_range(void *opaque, uint64_t start, uint64_t limit)
{
	struct walk *w = opaque;

	for (size_t i = sort_lower_bound(w->addr, w->count, start);
	     i < w->count && w->addr[i] < limit; i++) {
		if (!w->is_owned[i]) {
			w->is_owned[i] = true;
			w->o->pair[w->o->count++] =
				(struct sort_pair){ .key = w->unit, .value = i };
		}
		if (!dwarf_spend(w->d->effort, 1))
			return;
	}
}

static bool has_code(const struct dwarf_unit *u)
{
	return u->type == UNIT_COMPILE || u->type == UNIT_SKELETON;
}

static void look_at_unit(struct walk *w, struct dwarf_unit *u)
{
	struct dwarf_entry root;

	w->unit = u->offset;
	if (has_code(u) && dwarf_unit_root(u, &root))
		dwarf_ranges(u, &root, own_range, w);
}

bool dwarf_owners_find(struct dwarf_owners *o, struct dwarf *d, struct arena *a,
		       const uint64_t *addr, size_t count)
{
	struct walk w = { .o = o, .d = d, .addr = addr, .count = count };
	struct dwarf_unit u;

	*o = (struct dwarf_owners){ 0 };
	o->pair = arena_array(a, count, sizeof(*o->pair));
	w.is_owned = arena_array(a, count, sizeof(*w.is_owned));
	if (!o->pair || !w.is_owned)
		return false;
	for (uint64_t at = 0; dwarf_unit_header(&u, d, at); at = u.end) {
		if (!note_unit(d, a, at) || !dwarf_spend(d->effort, 64))
			break;
		look_at_unit(&w, &u);
	}
	sort_pairs(o->pair, o->count);
	return true;
}
