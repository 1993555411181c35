#include "proto/name_stacks.h"

#include <stdbool.h>
#include <string.h>

#include "proto/strings.h"

/* The number of each function's name. */
static uint32_t *number_names(struct arena *a, const struct message *m, struct name_stacks *out)
{
	size_t slot_count = 64;
	uint32_t *number = arena_array(a, m->function_count, sizeof(*number)), *slot;

	while (slot_count < m->function_count * 2)
		slot_count *= 2;
	slot = arena_array(a, slot_count, sizeof(*slot)); /* number + 1, 0 while free */
	out->name = arena_array(a, m->function_count, sizeof(*out->name));
	if (!number || !slot || !out->name)
		return NULL;
	for (size_t i = 0; i < m->function_count; i++) {
		const char *name = m->function[i].name;
		size_t at = text_hash(name) & (slot_count - 1);

		while (slot[at] && strcmp(out->name[slot[at] - 1], name) != 0)
			at = (at + 1) & (slot_count - 1);
		if (!slot[at]) {
			out->name[out->name_count++] = name;
			slot[at] = (uint32_t)out->name_count;
		}
		number[i] = slot[at] - 1;
	}
	return number;
}

static size_t frame_count(const struct message *m)
{
	size_t count = 0;

	for (size_t i = 0; i < m->sample_count; i++)
		for (uint32_t k = 0; k < m->sample[i].location_count; k++)
			count += m->location[m->sample[i].location[k]].line_count;
	return count;
}

/* Appends the frames of one sample, whose first one is frame[start]. */
static uint32_t add_stack(struct name_stacks *out, const struct message *m,
			  const struct message_sample *s, const uint32_t *number, uint32_t start)
{
	uint32_t end = start;

	for (uint32_t i = s->location_count; i-- > 0;) {
		const struct message_location *l = &m->location[s->location[i]];

		for (uint32_t k = l->line_count; k-- > 0;) {
			uint32_t f = number[l->line[k].function];

			if (end > start && out->frame[end - 1] == f && out->name[f][0] == '[')
				continue;
			out->frame[end++] = f;
		}
	}
	return end;
}

int name_stacks_of(struct arena *a, const struct message *m, struct name_stacks *out)
{
	uint32_t *number;

	*out = (struct name_stacks){ .count = m->sample_count };
	number = number_names(a, m, out);
	out->frame = arena_array(a, frame_count(m), sizeof(*out->frame));
	out->start = arena_array(a, m->sample_count + 1, sizeof(*out->start));
	if (!number || !out->frame || !out->start)
		return -1;
	for (size_t i = 0; i < m->sample_count; i++)
		out->start[i + 1] = add_stack(out, m, &m->sample[i], number, out->start[i]);
	return 0;
}
