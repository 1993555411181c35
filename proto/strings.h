/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The string table of one profile: every text once, "" at index 0.
 *
 * Memory is the arena's.  Running out of it is remembered in `failed`, so that
 * a caller may ask once at the end.
 *
 * Context: listener.
 */
#ifndef PROTO_STRINGS_H
#define PROTO_STRINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"

struct string_slot {
	const char *text; /* as it was given; NULL while the slot is free */
	uint32_t hash;
	uint32_t index;
};

struct strings {
	struct arena *arena;
	struct string_slot *slot;
	size_t slot_count; /* a power of two */
	size_t slots_used; /* texts that needed repair take one more than table_count */
	char **table;
	size_t table_count;
	size_t table_room;
	bool failed;
};

/* Makes the table with "" in it. */
void strings_init(struct strings *s, struct arena *a);

/*
 * The index of `text`, added if it is new.  The text is borrowed for the life
 * of the table, unless it is not clean UTF-8: then a repaired copy is kept.
 * 0 after a failure.
 */
uint32_t strings_index(struct strings *s, const char *text);

/* A hash for short texts, good enough for tables of powers of two. */
uint32_t text_hash(const char *text);

#endif
