/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The functions of a profile, each (name, linkage name, file, first line) once.
 *
 * Context: listener.
 */
#ifndef PROTO_FUNCTIONS_H
#define PROTO_FUNCTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"
#include "sampler/base/arena.h"

struct function_table {
	struct arena *arena;
	struct message_function *function;
	uint32_t *hash; /* of each function */
	size_t count;
	size_t room;
	uint32_t *slot;	   /* index of a function + 1, 0 while free */
	size_t slot_count; /* twice `room` */
};

/* Returns 0, or -1 when memory ran out. */
int function_table_init(struct function_table *t, struct arena *a);

/* The index of a function, added if it is new; MESSAGE_NONE when memory ran out.  Texts are
 * borrowed. */
uint32_t function_table_add(struct function_table *t, const struct message_function *f);

#endif
