#include "sampler/wall/names.h"

#include <stddef.h>
#include <string.h>

static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261U;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619U;
	return h ^ h >> 16;
}

bool names_init(struct name_table *t, struct arena *a, uint32_t names)
{
	uint32_t slots = 16;

	while (slots < 2 * names)
		slots *= 2;
	t->mask = slots - 1;
	t->slot = arena_array(a, slots, sizeof(*t->slot));
	return t->slot != NULL;
}

struct name_pool *names_find(const struct name_table *t, const char *name)
{
	uint32_t i = hash_of(name) & t->mask;

	while (t->slot[i].name && strcmp(t->slot[i].name, name) != 0)
		i = (i + 1) & t->mask;
	t->slot[i].name = name;
	return &t->slot[i];
}
