/* Open addressing by frame. */
#include "proto/places.h"

#include <stdbool.h>

#include "proto/message.h"
#include "sampler/base/cc.h"

#define FIRST_PLACES 1024
#define FIRST_SLOTS  4096

int place_table_init(struct place_table *t, struct arena *a)
{
	*t = (struct place_table){ .arena = a, .room = FIRST_PLACES, .slot_count = FIRST_SLOTS };
	t->place = arena_array(a, t->room, sizeof(*t->place));
	t->slot = arena_array(a, t->slot_count, sizeof(*t->slot));
	return t->place && t->slot ? 0 : -1;
}

static size_t first_slot(const struct place_table *t, uint64_t frame)
{
	return (frame * 0x9e3779b97f4a7c15 >> 32) & (t->slot_count - 1);
}

static size_t next_slot(const struct place_table *t, size_t i)
{
	return (i + 1) & (t->slot_count - 1);
}

static void put_in_slot(struct place_table *t, uint32_t index)
{
	size_t i = first_slot(t, t->place[index].frame);

	while (t->slot[i])
		i = next_slot(t, i);
	t->slot[i] = index + 1;
}

/* At most half the slots are taken. */
static bool room_for_slot(struct place_table *t)
{
	uint32_t *slot;

	if (t->count < t->slot_count / 2)
		return true;
	slot = arena_array(t->arena, t->slot_count * 2, sizeof(*slot));
	if (!slot)
		return false;
	t->slot = slot;
	t->slot_count *= 2;
	for (uint32_t i = 0; i < t->count; i++)
		put_in_slot(t, i);
	return true;
}

static bool room_for_place(struct place_table *t)
{
	size_t old = t->room * sizeof(*t->place);
	struct place *place;

	if (t->count < t->room)
		return true;
	place = arena_grow(t->arena, t->place, old, old * 2);
	if (!place)
		return false;
	t->place = place;
	t->room *= 2;
	return true;
}

static uint32_t new_place(struct place_table *t, uint64_t frame)
{
	if (t->count >= MESSAGE_NONE - 1 || !room_for_place(t) || !room_for_slot(t))
		return MESSAGE_NONE;
	t->place[t->count] = (struct place){ frame, frame_address(frame), frame_module(frame) };
	put_in_slot(t, (uint32_t)t->count);
	return (uint32_t)t->count++;
}

/* An address in a module that may go, and the module's own word for it, are one place. */
static uint64_t as_module_says(uint64_t frame)
{
	const struct module *m =
		frame < FRAME_PSEUDO_LIMIT || frame_number(frame) ? NULL : frame_module(frame);

	return m && !m->is_fixed ? frame_in_module(m->number, m->bias, frame) : frame;
}

uint32_t place_table_add(struct place_table *t, uint64_t word)
{
	uint64_t frame = as_module_says(word);

	for (size_t i = first_slot(t, frame); t->slot[i]; i = next_slot(t, i))
		if (LIKELY(t->place[t->slot[i] - 1].frame == frame))
			return t->slot[i] - 1;
	return new_place(t, frame);
}
