#include "proto/functions.h"

#include <stdbool.h>
#include <string.h>

#include "proto/strings.h"

#define FIRST_FUNCTIONS 1024 /* a power of two */

int function_table_init(struct function_table *t, struct arena *a)
{
	*t = (struct function_table){
		.arena = a,
		.room = FIRST_FUNCTIONS,
		.slot_count = FIRST_FUNCTIONS * 2,
	};
	t->function = arena_array(a, t->room, sizeof(*t->function));
	t->hash = arena_array(a, t->room, sizeof(*t->hash));
	t->slot = arena_array(a, t->slot_count, sizeof(*t->slot));
	return t->function && t->hash && t->slot ? 0 : -1;
}

/* Names follow from linkage names, so these need not be hashed. */
static uint32_t hash_of(const struct message_function *f)
{
	uint32_t h = text_hash(f->system_name) * 31 + text_hash(f->file);

	return h * 31 + (uint32_t)f->start_line;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || strcmp(a, b) == 0;
}

static bool is_same(const struct message_function *a, const struct message_function *b)
{
	return a->start_line == b->start_line && same_text(a->system_name, b->system_name) &&
	       same_text(a->name, b->name) && same_text(a->file, b->file);
}

/* The slot of the function, or the free one where it belongs. */
static uint32_t *slot_for(const struct function_table *t, const struct message_function *f,
			  uint32_t hash)
{
	size_t i = hash & (t->slot_count - 1);

	while (t->slot[i]) {
		uint32_t index = t->slot[i] - 1;

		if (t->hash[index] == hash && is_same(&t->function[index], f))
			break;
		i = (i + 1) & (t->slot_count - 1);
	}
	return &t->slot[i];
}

static bool grow(struct function_table *t)
{
	size_t room = t->room * 2;
	uint32_t *slot = arena_array(t->arena, room * 2, sizeof(*slot));
	uint32_t *hash =
		arena_grow(t->arena, t->hash, t->room * sizeof(*hash), room * sizeof(*hash));
	struct message_function *function = arena_grow(
		t->arena, t->function, t->room * sizeof(*function), room * sizeof(*function));

	if (!slot || !hash || !function)
		return false;
	*t = (struct function_table){ t->arena, function, hash, t->count, room, slot, room * 2 };
	for (uint32_t i = 0; i < t->count; i++)
		*slot_for(t, &t->function[i], t->hash[i]) = i + 1;
	return true;
}

uint32_t function_table_add(struct function_table *t, const struct message_function *f)
{
	uint32_t hash = hash_of(f);
	uint32_t *slot = slot_for(t, f, hash);

	if (*slot)
		return *slot - 1;
	if (t->count == t->room) {
		if (!grow(t))
			return MESSAGE_NONE;
		slot = slot_for(t, f, hash);
	}
	t->function[t->count] = *f;
	t->hash[t->count] = hash;
	*slot = (uint32_t)t->count + 1;
	return (uint32_t)t->count++;
}
