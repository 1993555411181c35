/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The distinct frames of a profile, each with the module that it names.  The index of a
 * place is the index of its location in the message.
 *
 * Context: listener.
 */
#ifndef PROTO_PLACES_H
#define PROTO_PLACES_H

#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/process/modules.h"

struct place {
	uint64_t frame;
	uint64_t pc;		     /* where it is or was: readers of the profile see this */
	const struct module *module; /* NULL: pseudo frame, or code of no loaded object */
};

struct place_table {
	struct arena *arena;
	struct place *place;
	size_t count;
	size_t room;
	uint32_t *slot; /* index of a place + 1, 0 while free */
	size_t slot_count;
};

/* Returns 0, or -1 when memory ran out. */
int place_table_init(struct place_table *t, struct arena *a);

/* The place of a frame, added if it is new; MESSAGE_NONE when memory ran out. */
uint32_t place_table_add(struct place_table *t, uint64_t frame);

#endif
