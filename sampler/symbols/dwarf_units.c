#include "sampler/symbols/dwarf_units.h"

#define FIRST_UNITS  1024
#define UNITS_MAX    (1U << 20)
#define HEADER_STEPS 64 /* what reading a header counts as */

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

void dwarf_units_list(struct dwarf *d, struct arena *a,
		      void (*fn)(void *opaque, struct dwarf_unit *u), void *opaque)
{
	struct dwarf_unit u;

	for (uint64_t at = 0; dwarf_unit_header(&u, d, at); at = u.end) {
		if (!note_unit(d, a, at) || !dwarf_spend(d->effort, HEADER_STEPS))
			break;
		if (fn)
			fn(opaque, &u);
	}
}
