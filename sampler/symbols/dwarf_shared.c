#include "sampler/symbols/dwarf_shared.h"

#include "sampler/symbols/dwarf_units.h"
#include "sampler/symbols/sharedfile.h"

#define TABLES_BYTES (4UL << 20) /* of sections, and of a quarter of a million units */

static bool read_units(struct dwarf_shared *s, struct dwarf *d)
{
	s->d.base = (uint64_t)DWARF_SHARED_FILE << DWARF_FILE_SHIFT;
	s->d.effort = d->effort;
	s->d.window = d->window;
	if (dwarf_sections_open(s->d.section, &s->arena, &s->e, "") == DWARF_REFUSED)
		return false; /* without units there may be texts */
	dwarf_units_list(&s->d, &s->arena, NULL, NULL);
	d->shared = &s->d;
	return true;
}

bool dwarf_shared_open(struct dwarf_shared *s, struct dwarf *d, const struct elf *e)
{
	s->arena.limit = DWARF_INFLATED_MAX + TABLES_BYTES;
	switch (sharedfile_open(&s->e, &s->arena, e)) {
	case SHAREDFILE_NONE:
		return true;
	case SHAREDFILE_MISSING:
		return false;
	case SHAREDFILE_OPEN:
		break;
	}
	return read_units(s, d);
}

void dwarf_shared_close(struct dwarf_shared *s)
{
	elf_close(&s->e);
	arena_release(&s->arena);
}
