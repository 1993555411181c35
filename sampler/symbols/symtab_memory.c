/*
 * The dynamic symbol table as the loader sees it.  It names exported functions
 * only, but it is there when the file is not: deleted, replaced, out of reach.
 */
#include <string.h>

#include "sampler/symbols/dynamic.h"
#include "sampler/symbols/symtab.h"

bool symtab_open_memory(struct symtab *t, struct elf_reader *in, const struct module *m)
{
	struct dynamic d;

	memset(t, 0, sizeof(*t));
	*in = (struct elf_reader){ .fd = -1,
				   .base = m->image_start,
				   .size = m->image_limit - m->image_start };
	if (!dynamic_read(&d, m) || d.symbols < in->base || d.strings < in->base)
		return false;
	t->in = in;
	t->symbols = d.symbols - in->base;
	t->strings = d.strings - in->base;
	t->strings_size = d.strings_size;
	t->count = dynamic_count_symbols(&d);
	return t->count > 0;
}
