/*
 * Open addressing by address.  An address that was mapped by different modules
 * in different generations has a place for each; that is rare, so that one look
 * nearly always decides.
 */
#include "proto/places.h"

#include <stdbool.h>
#include <string.h>

#include "proto/message.h"
#include "sampler/base/cc.h"
#include "sampler/unwind/stacks.h"

#define FIRST_PLACES 1024
#define FIRST_SLOTS  4096

int place_table_init(struct place_table *t, struct arena *a)
{
	*t = (struct place_table){ .arena = a, .room = FIRST_PLACES, .slot_count = FIRST_SLOTS };
	t->place = arena_array(a, t->room, sizeof(*t->place));
	t->slot = arena_array(a, t->slot_count, sizeof(*t->slot));
	return t->place && t->slot ? 0 : -1;
}

static size_t first_slot(const struct place_table *t, uint64_t pc)
{
	return (pc * 0x9e3779b97f4a7c15 >> 32) & (t->slot_count - 1);
}

static size_t next_slot(const struct place_table *t, size_t i)
{
	return (i + 1) & (t->slot_count - 1);
}

static void put_in_slot(struct place_table *t, uint32_t index)
{
	size_t i = first_slot(t, t->place[index].pc);

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

static uint32_t new_place(struct place_table *t, uint64_t pc, uint32_t generation,
			  const struct module *module)
{
	if (t->count >= MESSAGE_NONE - 1 || !room_for_place(t) || !room_for_slot(t))
		return MESSAGE_NONE;
	t->place[t->count] = (struct place){ pc, module, generation };
	put_in_slot(t, (uint32_t)t->count);
	return (uint32_t)t->count++;
}

/* A library that was unloaded and loaded again at its old place is the same code. */
static bool same_code(const struct module *a, const struct module *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->bias != b->bias || a->build_id_len != b->build_id_len)
		return false;
	return memcmp(a->build_id, b->build_id, a->build_id_len) == 0 &&
	       strcmp(a->path, b->path) == 0;
}

static uint32_t find_in_module(const struct place_table *t, uint64_t pc,
			       const struct module *module)
{
	for (size_t i = first_slot(t, pc); t->slot[i]; i = next_slot(t, i)) {
		const struct place *p = &t->place[t->slot[i] - 1];

		if (p->pc == pc && same_code(p->module, module))
			return t->slot[i] - 1;
	}
	return MESSAGE_NONE;
}

static uint32_t find_in_generation(const struct place_table *t, uint64_t pc, uint32_t generation)
{
	for (size_t i = first_slot(t, pc); t->slot[i]; i = next_slot(t, i)) {
		const struct place *p = &t->place[t->slot[i] - 1];

		if (p->pc == pc && (p->generation == generation || pc < PSEUDO_LIMIT))
			return t->slot[i] - 1;
	}
	return MESSAGE_NONE;
}

uint32_t place_table_add(struct place_table *t, uint64_t pc, uint32_t generation)
{
	uint32_t i = find_in_generation(t, pc, generation);
	const struct module *module;

	if (LIKELY(i != MESSAGE_NONE))
		return i;
	module = pc < PSEUDO_LIMIT ? NULL : module_find(pc, generation);
	i = find_in_module(t, pc, module);
	if (i == MESSAGE_NONE)
		return new_place(t, pc, generation, module);
	t->place[i].generation = generation;
	return i;
}
