#include "proto/strings.h"

#include <string.h>

#include "sampler/base/utf8.h"

#define FIRST_SLOTS 1024
#define FIRST_TABLE 512

/* Eight bytes at a time: names are long, and there are many. */
uint32_t text_hash(const char *text)
{
	size_t len = strlen(text);
	uint64_t h = len, word = 0;

	for (; len >= sizeof(word); len -= sizeof(word), text += sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15;
		h ^= h >> 29;
	}
	word = 0;
	memcpy(&word, text, len);
	h = (h ^ word) * 0x9e3779b97f4a7c15;
	return (uint32_t)(h >> 32);
}

/* The slot of `text`, or the free one where it belongs. */
static struct string_slot *slot_for(const struct strings *s, const char *text, uint32_t hash)
{
	size_t mask = s->slot_count - 1;
	size_t i = hash & mask;

	while (s->slot[i].text) {
		if (s->slot[i].text == text)
			break;
		if (s->slot[i].hash == hash && strcmp(s->slot[i].text, text) == 0)
			break;
		i = (i + 1) & mask;
	}
	return &s->slot[i];
}

static void move_slots(struct strings *s, const struct string_slot *old, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (old[i].text)
			*slot_for(s, old[i].text, old[i].hash) = old[i];
}

/* Keeps a quarter of the slots free. */
static bool room_for_slot(struct strings *s)
{
	const struct string_slot *old = s->slot;
	size_t count = s->slot_count;
	struct string_slot *slot;

	if (s->slots_used < count / 4 * 3)
		return true;
	slot = arena_array(s->arena, count * 2, sizeof(*slot));
	if (!slot)
		return false;
	s->slot = slot;
	s->slot_count = count * 2;
	move_slots(s, old, count);
	return true;
}

static bool room_in_table(struct strings *s)
{
	size_t old = s->table_room * sizeof(*s->table);
	char **table;

	if (s->table_count < s->table_room)
		return true;
	table = arena_grow(s->arena, s->table, old, old * 2);
	if (!table)
		return false;
	s->table = table;
	s->table_room *= 2;
	return true;
}

static uint32_t append(struct strings *s, const char *text)
{
	if (!room_in_table(s)) {
		s->failed = true;
		return 0;
	}
	s->table[s->table_count] = (char *)(uintptr_t)text;
	return (uint32_t)s->table_count++;
}

/* Whether there is nothing in it that could need repair: true of nearly all names. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static uint32_t index_repaired(struct strings *s, const char *text)
{
	size_t len = strlen(text);
	char *repaired = arena_array(s->arena, len + 1, 3); /* U+FFFD has three bytes */

	if (!repaired) {
		s->failed = true;
		return 0;
	}
	utf8_copy(repaired, len * 3 + 1, text, len);
	return strcmp(text, repaired) == 0 ? append(s, text) : strings_index(s, repaired);
}

static uint32_t add(struct strings *s, const char *text, uint32_t hash)
{
	uint32_t index = is_plain(text) ? append(s, text) : index_repaired(s, text);

	if (s->failed || !room_for_slot(s)) {
		s->failed = true;
		return 0;
	}
	s->slots_used++;
	*slot_for(s, text, hash) = (struct string_slot){ text, hash, index };
	return index;
}

uint32_t strings_index(struct strings *s, const char *text)
{
	uint32_t hash = text_hash(text);
	const struct string_slot *slot;

	if (s->failed)
		return 0;
	slot = slot_for(s, text, hash);
	return slot->text ? slot->index : add(s, text, hash);
}

void strings_init(struct strings *s, struct arena *a)
{
	*s = (struct strings){ .arena = a };
	s->slot = arena_array(a, FIRST_SLOTS, sizeof(*s->slot));
	s->slot_count = FIRST_SLOTS;
	s->table = arena_array(a, FIRST_TABLE, sizeof(*s->table));
	s->table_room = FIRST_TABLE;
	s->failed = !s->slot || !s->table;
	strings_index(s, "");
}
