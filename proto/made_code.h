/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Code of no object in the stacks of one profile, for who hands them to another process:
 * what the runtime tells of it, and of which object it is a copy.  That other process
 * cannot know, as it has another memory, and may be in another mount namespace.
 *
 * Context: listener.
 */
#ifndef PROTO_MADE_CODE_H
#define PROTO_MADE_CODE_H

#include "sampler/base/arena.h"
#include "sampler/symbols/symbol.h"
#include "sampler/unwind/stacks.h"

struct made_code {
	uint64_t *pc; /* ascending */
	size_t count;
	struct symbol_frame *told; /* of each; its name is NULL where nothing is told */
};

/* Finds it and its names; strings are in `a`.  Without memory there is none. */
void made_code_find(struct arena *a, const struct stack_table *stacks, struct made_code *m);

/* The index of a frame that has a name, or -1. */
long made_code_index(const struct made_code *m, uint64_t frame);

/* The frame of the code in an object that this one is a copy of; else as it is. */
uint64_t made_code_original(uint64_t frame);

#endif
