/*
 * Works in runs of all places of one module, because symbols are read module by
 * module, in order of address.
 *
 * Every location has a mapping, because some readers break on one without: pseudo
 * frames, whose address is their id (small, never zero, never code), have one that
 * is no file, and so has each page where nothing is mapped any more.
 */
#include "proto/names.h"

#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/sort.h"
#include "sampler/base/text.h"
#include "sampler/process/maps.h"
#include "sampler/process/other_code.h"
#include "sampler/symbols/jit_names.h"
#include "sampler/symbols/told.h"
#include "sampler/unwind/stacks.h"

/* Places of one module in order of address. */
struct run {
	struct sort_pair *place; /* address, index */
	uint64_t *pc;		 /* the addresses again, as symbols_resolve() wants them */
	size_t count;
};

static int add_line(struct namer *n, struct message_line *line, const struct symbol_frame *f)
{
	struct message_function function = {
		.name = f->name,
		.system_name = f->system_name,
		.file = f->file,
		.start_line = f->start_line,
	};

	line->line = f->line;
	line->function = function_table_add(&n->functions, &function);
	return line->function == MESSAGE_NONE ? -1 : 0;
}

static int fill_location(struct namer *n, size_t place, const struct symbol *s)
{
	struct message_line *line = arena_array(n->arena, s->frame_count, sizeof(*line));
	struct message_location *l = &n->location[place];

	if (!line)
		return -1;
	for (uint32_t i = 0; i < s->frame_count; i++)
		if (add_line(n, &line[i], &s->frame[i]) != 0)
			return -1;
	l->address = n->places->place[place].pc;
	l->mapping = MESSAGE_NONE;
	l->line = line;
	l->line_count = s->frame_count;
	return 0;
}

static int fill_plain(struct namer *n, size_t place, const char *name)
{
	struct symbol_frame frame = { .name = name, .system_name = name, .file = "" };
	struct symbol symbol = { &frame, 1 };

	return fill_location(n, place, &symbol);
}

/* A call stands at the code that was called, in the module which has that now. */
static int fill_call(struct namer *n, struct message_location *l, uint64_t address)
{
	const struct module *m = address ? module_find(address) : NULL;

	if (!m)
		return 0;
	l->address = address;
	return mapping_table_module(&n->mappings, m, address, &l->mapping);
}

static int name_pseudo(struct namer *n, const struct run *r)
{
	static const struct maps_range nowhere = { .limit = PSEUDO_LIMIT, .file = "[no code]" };
	uint32_t mapping = MESSAGE_NONE;

	for (size_t i = 0; i < r->count; i++) {
		struct message_location *l = &n->location[r->place[i].value];

		if (fill_plain(n, r->place[i].value, pseudo_frame_name(r->pc[i])) != 0 ||
		    fill_call(n, l, pseudo_frame_address(r->pc[i])) != 0)
			return -1;
		if (l->mapping != MESSAGE_NONE)
			continue;
		if (mapping == MESSAGE_NONE &&
		    mapping_table_range(&n->mappings, &nowhere, &mapping) != 0)
			return -1;
		l->mapping = mapping;
	}
	return 0;
}

/*
 * The page of an address where nothing is mapped any more, or an object that has come since:
 * when the stack was taken, no object was there.
 */
static const struct maps_range *gone_range(struct arena *a, uint64_t pc)
{
	struct maps_range *r = arena_alloc(a, sizeof(*r));

	if (r)
		*r = (struct maps_range){ .start = pc & ~(PAGE_BYTES - 1),
					  .limit = (pc & ~(PAGE_BYTES - 1)) + PAGE_BYTES,
					  .file = "[unmapped]",
					  .name = "[unknown]" };
	return r;
}

/*
 * By the name that its runtime tells, by that of its original, or by what is mapped there.
 * Addresses come in order, so one range follows the other.
 */
static int fill_mapped(struct namer *n, size_t place, struct symbol_frame *told,
		       const struct maps_range *range, const struct maps_range *last,
		       uint32_t *mapping)
{
	struct symbol symbol = { told, 1 };
	int err = 0;

	if (told->name)
		err = fill_location(n, place, &symbol);
	else if (!n->location[place].line)
		err = fill_plain(n, place, range->name);
	if (err != 0)
		return -1;
	if (range != last && mapping_table_range(&n->mappings, range, mapping) != 0)
		return -1;
	n->location[place].mapping = *mapping;
	return 0;
}

/* The address of the same code in a loaded object, if its file was mapped once more. */
static const struct module *original_of(uint64_t pc, uint64_t *original)
{
	return other_code_at(pc, original) && *original ? module_find(*original) : NULL;
}

/* Names the places [i, i + n), copies of code of `m` that lies `distance` further on. */
static int name_copies(struct namer *n, const struct run *r, size_t i, size_t count,
		       const struct module *m, uint64_t distance)
{
	struct symbol *symbol = arena_array(n->arena, count, sizeof(*symbol));
	uint64_t *pc = arena_array(n->arena, count, sizeof(*pc));

	if (!symbol || !pc)
		return -1;
	for (size_t k = 0; k < count; k++)
		pc[k] = r->pc[i + k] + distance;
	if (symbols_resolve(n->arena, m, pc, count, n->detail, n->deadline_ns, symbol) != 0)
		return -1;
	for (size_t k = 0; k < count; k++)
		if (fill_location(n, r->place[i + k].value, &symbol[k]) != 0)
			return -1;
	return 0;
}

/* Copies lie in runs: all addresses of one are equally far from their originals. */
static int name_all_copies(struct namer *n, const struct run *r, const struct symbol_frame *told)
{
	for (size_t i = 0, count; i < r->count; i += count) {
		uint64_t original, other;
		const struct module *m = told[i].name ? NULL : original_of(r->pc[i], &original);

		for (count = 1; m && i + count < r->count && !told[i + count].name &&
				original_of(r->pc[i + count], &other) == m &&
				other - r->pc[i + count] == original - r->pc[i];
		     count++)
			continue;
		if (m && name_copies(n, r, i, count, m, original - r->pc[i]) != 0)
			return -1;
	}
	return 0;
}

/* Code that no loaded object owns. */
static int name_foreign(struct namer *n, const struct run *r)
{
	const struct maps_range **range = arena_array(n->arena, r->count, sizeof(*range));
	struct symbol_frame *told = arena_array(n->arena, r->count, sizeof(*told));
	const struct maps_range *last = NULL;
	uint32_t mapping = MESSAGE_NONE;

	if (!range || !told || maps_find(n->arena, r->pc, r->count, range) != 0)
		return -1;
	jit_names_find(n->arena, r->pc, r->count, told);
	if (name_all_copies(n, r, told) != 0)
		return -1;
	for (size_t i = 0; i < r->count; i++) {
		if (module_find(r->pc[i]))
			range[i] = gone_range(n->arena, r->pc[i]);
		else if (!range[i])
			range[i] = last && r->pc[i] >= last->start && r->pc[i] < last->limit
					   ? last
					   : gone_range(n->arena, r->pc[i]);
		if (!range[i] ||
		    fill_mapped(n, r->place[i].value, &told[i], range[i], last, &mapping) != 0)
			return -1;
		last = range[i];
	}
	return 0;
}

/* Pseudo frames sort before all code. */
static int name_without_module(struct namer *n, const struct run *r)
{
	struct run pseudo = *r, foreign = *r;

	pseudo.count = 0;
	while (pseudo.count < r->count && r->pc[pseudo.count] < PSEUDO_LIMIT)
		pseudo.count++;
	foreign.place += pseudo.count;
	foreign.pc += pseudo.count;
	foreign.count -= pseudo.count;
	if (name_pseudo(n, &pseudo) != 0)
		return -1;
	return foreign.count ? name_foreign(n, &foreign) : 0;
}

/* By this a user knows our code in the program's profile, and hides it. */
#define OUR_PREFIX "pprofshim:"

static const char *with_our_prefix(struct arena *a, const char *name)
{
	size_t size = sizeof(OUR_PREFIX) + strlen(name);
	struct text t = { .at = arena_alloc(a, size), .size = size };

	if (!t.at)
		return name;
	text_str(&t, OUR_PREFIX);
	text_str(&t, name);
	return t.at;
}

/* Unit tests have us in their main program. */
static bool is_our_library(const struct module *m)
{
	return !m->is_main && m == module_find((uint64_t)with_our_prefix);
}

/* In a copy: the frames may be those that are kept for the next profile. */
static void mark_ours(struct arena *a, struct symbol *s)
{
	struct symbol_frame *copy = arena_array(a, s->frame_count, sizeof(*copy));

	for (uint32_t i = 0; copy && i < s->frame_count; i++) {
		copy[i] = s->frame[i];
		copy[i].name = with_our_prefix(a, copy[i].name);
		copy[i].system_name = with_our_prefix(a, copy[i].system_name);
	}
	s->frame = copy ? copy : s->frame;
}

static int resolve(const struct namer *n, const struct module *m, const struct run *r,
		   struct symbol *symbol)
{
	return told_is_module(m) ? told_resolve(n->arena, m, r->pc, r->count, symbol)
				 : symbols_resolve(n->arena, m, r->pc, r->count, n->detail,
						   n->deadline_ns, symbol);
}

static int name_in_module(struct namer *n, const struct module *m, const struct run *r)
{
	struct symbol *symbol = arena_array(n->arena, r->count, sizeof(*symbol));

	if (!symbol || resolve(n, m, r, symbol) != 0)
		return -1;
	for (size_t i = 0; i < r->count; i++) {
		uint32_t *mapping = &n->location[r->place[i].value].mapping;

		if (is_our_library(m))
			mark_ours(n->arena, &symbol[i]);
		if (fill_location(n, r->place[i].value, &symbol[i]) != 0)
			return -1;
		if (mapping_table_module(&n->mappings, m, r->pc[i], mapping) != 0)
			return -1;
	}
	return 0;
}

/* All places in order of module; those of none come first. */
static struct sort_pair *by_module(const struct namer *n)
{
	size_t count = n->places->count;
	struct sort_pair *pair = arena_array(n->arena, count, sizeof(*pair));

	for (size_t i = 0; pair && i < count; i++)
		pair[i] = (struct sort_pair){ (uintptr_t)n->places->place[i].module, i };
	if (pair)
		sort_pairs(pair, count);
	return pair;
}

/* The places of one module in order of address. */
static void gather(const struct namer *n, struct run *r, const struct sort_pair *first)
{
	for (size_t i = 0; i < r->count; i++)
		r->place[i] =
			(struct sort_pair){ n->places->place[first[i].value].pc, first[i].value };
	sort_pairs(r->place, r->count);
	for (size_t i = 0; i < r->count; i++)
		r->pc[i] = r->place[i].key;
}

static int name_all(struct namer *n)
{
	size_t count = n->places->count;
	struct sort_pair *order = by_module(n);
	struct run r = { .place = arena_array(n->arena, count, sizeof(*r.place)),
			 .pc = arena_array(n->arena, count, sizeof(*r.pc)) };
	int failed = !order || !r.place || !r.pc ? -1 : 0;

	for (size_t i = 0; !failed && i < count; i += r.count) {
		const struct module *m = n->places->place[order[i].value].module;

		for (r.count = 1; i + r.count < count && order[i + r.count].key == order[i].key;)
			r.count++;
		gather(n, &r, order + i);
		failed = m ? name_in_module(n, m, &r) : name_without_module(n, &r);
	}
	return failed;
}

int namer_run(struct namer *n)
{
	size_t count = n->places->count;

	n->location = arena_array(n->arena, count, sizeof(*n->location));
	if (!n->location || function_table_init(&n->functions, n->arena) != 0 ||
	    mapping_table_init(&n->mappings, n->arena) != 0)
		return -1;
	if (name_all(n) != 0)
		return -1;
	return mapping_table_finish(&n->mappings, n->location, count, n->functions.function);
}
