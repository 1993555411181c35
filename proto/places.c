/*
 * Open addressing by address.  An address that was mapped by different modules
 * in different generations has a place for each; that is rare, so that one look
 * nearly always decides.
 */
#include "proto/places.h"

#include <stdbool.h>
#include <string.h>

#include "proto/message.h"
#include "sampler/stacks.h"
#include "shim/cc.h"

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

static bool is_before(const struct place *a, const struct place *b)
{
	if (a->module != b->module)
		return (uintptr_t)a->module < (uintptr_t)b->module;
	return a->pc < b->pc;
}

/* Lets the entry at `root` sink to where none below it is greater. */
static void sink(const struct place *place, uint32_t *heap, size_t root, size_t count)
{
	for (size_t child; (child = root * 2 + 1) < count; root = child) {
		uint32_t moved = heap[root];

		if (child + 1 < count && is_before(&place[heap[child]], &place[heap[child + 1]]))
			child++;
		if (!is_before(&place[moved], &place[heap[child]]))
			return;
		heap[root] = heap[child];
		heap[child] = moved;
	}
}

/* Heap sort: no recursion, no memory, no bad cases.  libc's qsort() may call malloc. */
uint32_t *place_table_sorted(const struct place_table *t)
{
	uint32_t *index = arena_array(t->arena, t->count, sizeof(*index));

	if (!index)
		return NULL;
	for (size_t i = 0; i < t->count; i++)
		index[i] = (uint32_t)i;
	for (size_t i = t->count / 2; i-- > 0;)
		sink(t->place, index, i, t->count);
	for (size_t last = t->count; last-- > 1;) {
		uint32_t greatest = index[0];

		index[0] = index[last];
		index[last] = greatest;
		sink(t->place, index, 0, last);
	}
	return index;
}
