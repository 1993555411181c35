/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * Where threads were found blocked, and how often: for each owner (a thread, or many that
 * are alike) the stacks it was seen in, with what the looks stand for.
 *
 * Numbers begin at 1; 0 is none.
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_VISITS_H
#define SAMPLER_WALL_VISITS_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/arena.h"

#define VISITS_MAX 65536 /* of one profile */

struct visit {
	int64_t ns;	    /* what the looks stand for */
	const char *reason; /* for what it waits; a text that lives for ever */
	uint32_t stack;	    /* its number in the table of stacks */
	uint32_t owner;
	uint32_t next;	       /* of the same owner */
	uint32_t next_in_slot; /* in the hash, or in the list of free ones */
};

struct visit_table {
	struct arena *arena;
	struct visit **page; /* of them; they stay where they are */
	uint32_t *slot;
	uint32_t count, unused;
};

/* False without memory. */
bool visits_init(struct visit_table *t, struct arena *a);

struct visit *visit_at(const struct visit_table *t, uint32_t number);

/*
 * The visit of this owner, whose list begins at *first, to a stack: the one that is there,
 * or a new one.  0: there are VISITS_MAX, or memory ran out.
 */
uint32_t visits_find(struct visit_table *t, uint32_t *first, uint32_t owner, uint32_t stack,
		     const char *reason);

/* All of *from's are `owner`'s now, added up with those that it has; *from is empty after it.
 * Returns the ns for which there was no room. */
int64_t visits_move(struct visit_table *t, uint32_t *from, uint32_t *to, uint32_t owner);

#endif
