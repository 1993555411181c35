#include "sampler/base/intern.h"

#include <stdbool.h>
#include <string.h>

#define FIRST_ROOM 1024

/* FNV-1a with a last mix, for tables that use the low bits. */
static uint32_t hash_of(const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3;
	return (uint32_t)(h ^ h >> 32);
}

static struct intern_slot *find_slot(const struct intern *t, const char *s, size_t len,
				     uint32_t hash)
{
	for (size_t i = hash;; i++) {
		struct intern_slot *slot = &t->slot[i & (t->room - 1)];

		if (!slot->s ||
		    (slot->hash == hash && slot->len == len && memcmp(slot->s, s, len) == 0))
			return slot;
	}
}

static bool grow(struct intern *t)
{
	size_t old_room = t->room;
	struct intern_slot *old = t->slot;
	size_t room = old_room ? old_room * 2 : FIRST_ROOM;
	struct intern_slot *slot = arena_array(t->table, room, sizeof(*slot));

	if (!slot)
		return false;
	t->slot = slot;
	t->room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[i].s)
			*find_slot(t, old[i].s, old[i].len, old[i].hash) = old[i];
	return true;
}

const char *intern(struct intern *t, const char *s, size_t len)
{
	uint32_t hash = hash_of(s, len);
	struct intern_slot *slot = t->room ? find_slot(t, s, len, hash) : NULL;

	if (slot && slot->s)
		return slot->s;
	if (t->count * 2 >= t->room && !grow(t))
		return NULL;
	slot = find_slot(t, s, len, hash);
	s = arena_strndup(t->strings, s, len);
	if (!s)
		return NULL;
	*slot = (struct intern_slot){ .s = s, .len = (uint32_t)len, .hash = hash };
	t->count++;
	return s;
}
