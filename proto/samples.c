#include "proto/samples.h"

#include <stdbool.h>
#include <string.h>

#include "proto/program_labels.h"
#include "sampler/base/cc.h"
#include "sampler/process/label_set.h"

_Static_assert(STACK_VALUES_MAX == MESSAGE_VALUES_MAX, "values are copied one for one");

/* What filling needs beside the result. */
struct filler {
	struct arena *arena;
	struct place_table *places;
	struct sample_labelling labels;
	struct program_labels program;
	struct sample_table *out;
	uint32_t *location; /* of the stack at hand */
	uint32_t *slot;	    /* index of a sample + 1, 0 while free */
	size_t slot_count;
	size_t values;
};

static bool has_value(const struct stack *s, size_t values)
{
	for (size_t i = 0; i < values; i++)
		if (s->value[i])
			return true;
	return false;
}

static bool make_room(struct filler *f, const struct stack_table *stacks)
{
	uint32_t deepest = 0;

	for (size_t i = 0; i < stacks->count; i++)
		deepest = MAX(deepest, stacks->list[i]->depth);
	while (f->slot_count < stacks->count * 2)
		f->slot_count *= 2;
	f->location = arena_array(f->arena, deepest, sizeof(*f->location));
	f->slot = arena_array(f->arena, f->slot_count, sizeof(*f->slot));
	f->out->sample = arena_array(f->arena, stacks->count, sizeof(*f->out->sample));
	f->out->of_stack = arena_array(f->arena, stacks->count, sizeof(*f->out->of_stack));
	return f->location && f->slot && f->out->sample && f->out->of_stack;
}

static bool find_places(struct filler *f, const struct stack *s, uint32_t depth)
{
	for (uint32_t i = 0; i < depth; i++) {
		f->location[i] = place_table_add(f->places, s->frame[i]);
		if (f->location[i] == MESSAGE_NONE)
			return false;
	}
	return true;
}

static size_t hash_of(const uint32_t *location, uint32_t count)
{
	uint64_t h = count;

	for (uint32_t i = 0; i < count; i++) {
		h = (h ^ location[i]) * 0x9e3779b97f4a7c15;
		h ^= h >> 29;
	}
	return h;
}

static bool is_same(const struct message_sample *s, const uint32_t *location, uint32_t count,
		    const struct message_label *label)
{
	return s->location_count == count && s->label == label &&
	       memcmp(s->location, location, count * sizeof(*location)) == 0;
}

/* The slot of the sample with these locations, or the free one where it belongs. */
static uint32_t *slot_for(const struct filler *f, uint32_t count, const struct message_label *label)
{
	size_t i = (hash_of(f->location, count) + (uintptr_t)label / sizeof(*label)) &
		   (f->slot_count - 1);

	while (f->slot[i] && !is_same(&f->out->sample[f->slot[i] - 1], f->location, count, label))
		i = (i + 1) & (f->slot_count - 1);
	return &f->slot[i];
}

static bool new_sample(struct filler *f, uint32_t *slot, uint32_t count, struct sample_labels of)
{
	uint32_t *location = arena_array(f->arena, count, sizeof(*location));

	if (!location)
		return false;
	memcpy(location, f->location, count * sizeof(*location));
	f->out->sample[f->out->count] = (struct message_sample){
		.location = location,
		.location_count = count,
		.label = of.label,
		.label_count = of.count,
	};
	*slot = (uint32_t)++f->out->count;
	return true;
}

static bool find_labels(struct filler *f, const struct stack *s, uint32_t set,
			struct sample_labels *of)
{
	*of = (struct sample_labels){ NULL, 0 };
	if (f->labels.of && s->label)
		*of = f->labels.of[s->label - 1];
	return !set || f->labels.without || program_labels_join(&f->program, s->label, set, of);
}

static bool add_stack(struct filler *f, size_t index, const struct stack *s)
{
	uint32_t set = frames_labels(s->frame, s->depth), depth = s->depth - (set ? 1 : 0);
	struct sample_labels of;
	uint32_t *slot;

	f->out->of_stack[index] = MESSAGE_NONE;
	if (!has_value(s, f->values))
		return true;
	if (!find_places(f, s, depth) || !find_labels(f, s, set, &of))
		return false;
	slot = slot_for(f, depth, of.label);
	if (!*slot && !new_sample(f, slot, depth, of))
		return false;
	f->out->of_stack[index] = *slot - 1;
	for (size_t i = 0; i < f->values; i++)
		f->out->sample[*slot - 1].value[i] += s->value[i];
	return true;
}

int sample_table_fill(struct sample_table *t, struct arena *a, const struct stack_table *stacks,
		      size_t values, struct sample_labelling labels, struct place_table *places)
{
	struct filler f = {
		.arena = a, .labels = labels, .places = places, .out = t, .slot_count = 64
	};

	*t = (struct sample_table){ 0 };
	f.values = values;
	f.program.arena = a;
	if (!make_room(&f, stacks))
		return -1;
	for (size_t i = 0; i < stacks->count; i++)
		if (!add_stack(&f, i, stacks->list[i]))
			return -1;
	return 0;
}
