#include "proto/mappings.h"

#include <stdbool.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/text.h"
#include "sampler/process/started_as.h"

#define FIRST_MAPPINGS 64

static uint32_t append(struct mapping_table *t, struct message_mapping m)
{
	size_t old = t->room * sizeof(*t->mapping);
	struct message_mapping *grown;

	if (t->count == t->room) {
		grown = arena_grow(t->arena, t->mapping, old, old * 2);
		if (!grown)
			return MESSAGE_NONE;
		t->mapping = grown;
		t->room *= 2;
	}
	t->mapping[t->count] = m;
	return (uint32_t)t->count++;
}

static const char *build_id_text(struct arena *a, const struct module *m)
{
	char buf[2 * BUILD_ID_MAX + 1];
	struct text hex = TEXT_INIT(buf);

	buf[0] = '\0';
	for (size_t i = 0; i < m->build_id_len; i++) {
		text_hex(&hex, m->build_id[i] >> 4);
		text_hex(&hex, m->build_id[i] & 15);
	}
	return arena_strndup(a, buf, hex.len);
}

/* A module that went, and another of its file's name that came in its place, are two. */
static bool has_build_id(const struct message_mapping *known, const struct module *m)
{
	size_t len = strlen(known->build_id);

	for (size_t i = 0; i < m->build_id_len && 2 * i < len; i++)
		if (known->build_id[2 * i] != "0123456789abcdef"[m->build_id[i] >> 4] ||
		    known->build_id[2 * i + 1] != "0123456789abcdef"[m->build_id[i] & 15])
			return false;
	return len == 2U * m->build_id_len;
}

static bool is_same(const struct message_mapping *a, const struct message_mapping *b)
{
	return a->start == b->start && a->limit == b->limit && strcmp(a->file, b->file) == 0;
}

static uint32_t find(const struct mapping_table *t, const struct message_mapping *new,
		     const struct module *m)
{
	for (size_t i = t->count; i-- > 0;)
		if (is_same(&t->mapping[i], new) && has_build_id(&t->mapping[i], m))
			return (uint32_t)i;
	return MESSAGE_NONE;
}

static int add_module_range(struct mapping_table *t, const struct module *m,
			    const struct module_range *r, uint32_t *index)
{
	struct message_mapping new = {
		.start = r->start,
		.limit = r->limit,
		.offset = r->offset,
		.file = m->is_main ? started_as(m->path) : m->path,
	};

	*index = find(t, &new, m);
	if (*index != MESSAGE_NONE)
		return 0;
	new.build_id = build_id_text(t->arena, m);
	if (!new.build_id)
		return -1;
	*index = append(t, new);
	return *index == MESSAGE_NONE ? -1 : 0;
}

static const struct module_range *largest_range(const struct module *m)
{
	const struct module_range *best = &m->range[0];

	for (uint32_t i = 1; i < m->range_count; i++)
		if (m->range[i].limit - m->range[i].start > best->limit - best->start)
			best = &m->range[i];
	return best;
}

int mapping_table_init(struct mapping_table *t, struct arena *a)
{
	const struct module *m = module_main();
	uint32_t index;

	*t = (struct mapping_table){ .arena = a, .room = FIRST_MAPPINGS };
	t->mapping = arena_array(a, t->room, sizeof(*t->mapping));
	if (!t->mapping)
		return -1;
	if (!m || !m->range_count)
		return 0;
	t->first_movable = 1;
	return add_module_range(t, m, largest_range(m), &index);
}

int mapping_table_module(struct mapping_table *t, const struct module *m, uint64_t pc,
			 uint32_t *index)
{
	*index = MESSAGE_NONE;
	for (uint32_t i = 0; i < m->range_count; i++)
		if (pc >= m->range[i].start && pc < m->range[i].limit)
			return add_module_range(t, m, &m->range[i], index);
	return 0;
}

/* A program may map its own file a second time (V8 does): it is the same file, with the same id. */
static const char *build_id_of_file(struct arena *a, const char *file)
{
	for (size_t i = 0; i < modules_count(); i++) {
		if (strcmp(module_at(i)->path, file) == 0)
			return build_id_text(a, module_at(i));
	}
	return "";
}

int mapping_table_range(struct mapping_table *t, const struct maps_range *r, uint32_t *index)
{
	struct message_mapping new = {
		.start = r->start,
		.limit = r->limit,
		.offset = r->offset,
		.file = r->file,
		.build_id = build_id_of_file(t->arena, r->file),
	};

	if (!new.build_id)
		return -1;
	*index = append(t, new);
	return *index == MESSAGE_NONE ? -1 : 0;
}

/*
 * Insertion sort of indexes: what arrives is already sorted, but for the few
 * modules among each other.
 */
static void sort_by_start(const struct mapping_table *t, uint32_t *order)
{
	for (size_t i = 0; i < t->count; i++) {
		size_t at = i;

		while (at > t->first_movable &&
		       t->mapping[order[at - 1]].start > t->mapping[i].start) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = (uint32_t)i;
	}
}

static int put_in_order(struct mapping_table *t, struct message_location *location, size_t count)
{
	uint32_t *order = arena_array(t->arena, t->count, sizeof(*order));
	uint32_t *rank = arena_array(t->arena, t->count, sizeof(*rank));
	struct message_mapping *sorted = arena_array(t->arena, t->count, sizeof(*sorted));

	if (!order || !rank || !sorted)
		return -1;
	sort_by_start(t, order);
	for (size_t i = 0; i < t->count; i++) {
		sorted[i] = t->mapping[order[i]];
		rank[order[i]] = (uint32_t)i;
	}
	t->mapping = sorted;
	for (size_t i = 0; i < count; i++)
		if (location[i].mapping != MESSAGE_NONE)
			location[i].mapping = rank[location[i].mapping];
	return 0;
}

/* The first location of a mapping raises what the lines of any may then lower. */
static void raise_flags(struct message_mapping *m)
{
	if (m->has_functions)
		return;
	m->has_functions = true;
	m->has_filenames = true;
	m->has_line_numbers = true;
}

static void lower_flags(struct message_mapping *m, const struct message_location *l,
			const struct message_function *function)
{
	for (uint32_t i = 0; i < l->line_count; i++) {
		m->has_filenames &= function[l->line[i].function].file[0] != '\0';
		m->has_line_numbers &= l->line[i].line != 0;
		m->has_inline_frames |= l->line[i].line != 0;
	}
	m->has_inline_frames |= l->line_count > 1;
}

int mapping_table_finish(struct mapping_table *t, struct message_location *location, size_t count,
			 const struct message_function *function)
{
	if (put_in_order(t, location, count) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct message_mapping *m;

		if (location[i].mapping == MESSAGE_NONE)
			continue;
		m = &t->mapping[location[i].mapping];
		raise_flags(m);
		lower_flags(m, &location[i], function);
	}
	return 0;
}
