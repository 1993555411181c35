#include "sampler/symbols/bindings.h"

#include <elf.h>
#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/process/modules.h"
#include "sampler/process/peek.h"
#include "sampler/symbols/dynamic.h"

#define WANTED_MAX	64	    /* symbols; a name may have several versions */
#define SYMBOLS_MAX	(1UL << 18) /* looked at in one object */
#define RELOCATIONS_MAX (1UL << 20)
#define BLOCK		64 /* read at once */

/* The symbols of one object that have one of the names, by their numbers. */
struct wanted {
	uint64_t symbol[WANTED_MAX];
	size_t count;
};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* By pages that are kept: the strings of undefined symbols lie near each other. */
static bool read_name(uint64_t at, char name[static BINDINGS_NAME_MAX])
{
	for (size_t i = 0; i < BINDINGS_NAME_MAX; i++) {
		if (!peek_cached(at + i, &name[i], 1))
			return false;
		if (name[i] == '\0')
			return true;
	}
	return false;
}

static void find_wanted(struct wanted *w, const struct dynamic *d, const char *const *names,
			size_t name_count)
{
	uint64_t count = MIN(dynamic_count_undefined(d), SYMBOLS_MAX);
	Elf64_Sym block[BLOCK];
	char name[BINDINGS_NAME_MAX];

	w->count = 0;
	for (uint64_t i = 0; i < count && w->count < WANTED_MAX; i++) {
		if (i % BLOCK == 0 && !peek(d->symbols + i * sizeof(*block), block,
					    MIN(count - i, BLOCK) * sizeof(*block)))
			return;
		if (block[i % BLOCK].st_shndx == SHN_UNDEF &&
		    read_name(d->strings + block[i % BLOCK].st_name, name) &&
		    is_one_of(name, names, name_count))
			w->symbol[w->count++] = i;
	}
}

static bool is_wanted(const struct wanted *w, uint64_t info)
{
	uint64_t type = ELF64_R_TYPE(info);

	if (type != ARCH_R_JUMP_SLOT && type != ARCH_R_GLOB_DAT)
		return false; /* variables may have been assigned to since (Python's _decimal) */
	for (size_t i = 0; i < w->count; i++)
		if (ELF64_R_SYM(info) == w->symbol[i])
			return true;
	return false;
}

static bool points_past_us(const struct module *m, uint64_t slot)
{
	uint64_t at;
	const struct module *target;

	if (!peek_cached(slot, &at, sizeof(at)))
		return false;
	target = module_find(at);
	return target && target != m && !target->is_main &&
	       target != module_find((uint64_t)bindings_past_us);
}

/* One table of relocations, but its `skipped` first. */
static bool table_has_one(const struct module *m, const struct wanted *w, uint64_t table,
			  uint64_t bytes, uint64_t skipped)
{
	uint64_t count = MIN(bytes / sizeof(Elf64_Rela), RELOCATIONS_MAX);
	Elf64_Rela block[BLOCK];

	for (uint64_t n; skipped < count; skipped += n) {
		n = MIN(count - skipped, BLOCK);
		if (!peek(table + skipped * sizeof(*block), block, n * sizeof(*block)))
			return false;
		for (uint64_t i = 0; i < n; i++)
			if (is_wanted(w, block[i].r_info) &&
			    points_past_us(m, m->bias + block[i].r_offset))
				return true;
	}
	return false;
}

static bool is_bound_past_us(const struct module *m, const char *const *names, size_t name_count)
{
	struct dynamic d;
	struct wanted w;

	if (m->is_vdso || !m->is_loaded || !dynamic_read(&d, m))
		return false;
	find_wanted(&w, &d, names, name_count);
	return w.count > 0 &&
	       (table_has_one(m, &w, d.plt_relocations, d.plt_relocations_size, 0) ||
		table_has_one(m, &w, d.relocations, d.relocations_size, d.relative_count));
}

size_t bindings_past_us(const char *const *names, size_t name_count, const struct module **out,
			size_t max)
{
	size_t found = 0;

	peek_forget(); /* slots change when a function is called for the first time */
	for (size_t i = 0; i < modules_count(); i++) {
		if (!is_bound_past_us(module_at(i), names, name_count))
			continue;
		if (found < max)
			out[found] = module_at(i);
		found++;
	}
	return found;
}
