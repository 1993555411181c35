#include "sampler/symbols/dwarf_owner.h"

#include "sampler/base/cc.h"
#include "sampler/symbols/dwarf_codes.h"
#include "sampler/symbols/dwarf_range.h"
#include "sampler/symbols/dwarf_units.h"

struct walk {
	struct dwarf_owners *o;
	struct dwarf *d;
	const uint64_t *addr;
	size_t count;
	bool *is_owned; /* by address: the first unit keeps it */
	uint64_t unit;	/* at work */
};

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

static void look_at_unit(void *opaque, struct dwarf_unit *u)
{
	struct walk *w = opaque;
	struct dwarf_entry root;

	w->unit = u->offset;
	if (has_code(u) && dwarf_unit_root(u, &root))
		dwarf_ranges(u, &root, own_range, w);
}

bool dwarf_owners_find(struct dwarf_owners *o, struct dwarf *d, struct arena *a,
		       const uint64_t *addr, size_t count)
{
	struct walk w = { .o = o, .d = d, .addr = addr, .count = count };

	*o = (struct dwarf_owners){ 0 };
	o->pair = arena_array(a, count, sizeof(*o->pair));
	w.is_owned = arena_array(a, count, sizeof(*w.is_owned));
	if (!o->pair || !w.is_owned)
		return false;
	dwarf_units_list(d, a, look_at_unit, &w);
	sort_pairs(o->pair, o->count);
	return true;
}
