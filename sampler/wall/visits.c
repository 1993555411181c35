#include "sampler/wall/visits.h"

#include <stddef.h>

#include "sampler/base/counters.h"

#define SLOTS	 16384
#define PER_PAGE 256
#define PAGES	 (VISITS_MAX / PER_PAGE)

bool visits_init(struct visit_table *t, struct arena *a)
{
	*t = (struct visit_table){ .arena = a };
	t->slot = arena_array(a, SLOTS, sizeof(*t->slot));
	t->page = arena_array(a, PAGES, sizeof(struct visit *));
	return t->slot && t->page;
}

struct visit *visit_at(const struct visit_table *t, uint32_t number)
{
	return &t->page[(number - 1) / PER_PAGE][(number - 1) % PER_PAGE];
}

static uint32_t *slot_of(const struct visit_table *t, uint32_t owner, uint32_t stack,
			 const char *reason)
{
	uint64_t h = (uint64_t)owner << 32 | stack;

	h = (h ^ (uintptr_t)reason) * 0x9e3779b97f4a7c15;
	return &t->slot[h >> 50];
}

static uint32_t take_unused(struct visit_table *t)
{
	uint32_t number = t->unused;

	if (number) {
		t->unused = visit_at(t, number)->next_in_slot;
		return number;
	}
	if (t->count == VISITS_MAX)
		return 0;
	if (!t->page[t->count / PER_PAGE])
		t->page[t->count / PER_PAGE] =
			arena_array(t->arena, PER_PAGE, sizeof(struct visit));
	return t->page[t->count / PER_PAGE] ? ++t->count : 0;
}

static uint32_t add(struct visit_table *t, uint32_t *slot, uint32_t *first,
		    const struct visit *wanted)
{
	uint32_t number = take_unused(t);
	struct visit *v;

	if (!number) {
		counter_add(COUNTER_WALL_PLACES_FULL, 1);
		return 0;
	}
	v = visit_at(t, number);
	*v = *wanted;
	v->next = *first;
	v->next_in_slot = *slot;
	return *first = *slot = number;
}

uint32_t visits_find(struct visit_table *t, uint32_t *first, uint32_t owner, uint32_t stack,
		     const char *reason)
{
	uint32_t *slot = slot_of(t, owner, stack, reason);

	for (uint32_t i = *slot; i; i = visit_at(t, i)->next_in_slot) {
		const struct visit *v = visit_at(t, i);

		if (v->owner == owner && v->stack == stack && v->reason == reason)
			return i;
	}
	return add(t, slot, first,
		   &(struct visit){ .owner = owner, .stack = stack, .reason = reason });
}

static void give_back(struct visit_table *t, uint32_t number)
{
	struct visit *v = visit_at(t, number);
	uint32_t *at = slot_of(t, v->owner, v->stack, v->reason);

	while (*at != number)
		at = &visit_at(t, *at)->next_in_slot;
	*at = v->next_in_slot;
	v->next_in_slot = t->unused;
	t->unused = number;
}

int64_t visits_move(struct visit_table *t, uint32_t *from, uint32_t *to, uint32_t owner)
{
	int64_t lost = 0;

	while (*from) {
		const struct visit old = *visit_at(t, *from);
		uint32_t number;

		give_back(t, *from); /* so that there is room for another */
		*from = old.next;
		number = visits_find(t, to, owner, old.stack, old.reason);
		if (number)
			visit_at(t, number)->ns += old.ns;
		else
			lost += old.ns;
	}
	return lost;
}
