/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * What threads of one name have in common at the end of a window.  Time of threads at which
 * nobody looked is divided within their name, so that no name has more than its threads had.
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_NAMES_H
#define SAMPLER_WALL_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/arena.h"

/* Blocked time in ns. */
struct name_pool {
	const char *name;		 /* NULL: this place is free */
	int64_t few_ns, few_seen_ns;	 /* with few looks: by clocks; what looks stand for */
	int64_t quiet_seen_ns;		 /* of quiet threads that were looked at, by clocks */
	int64_t quiet_ns, quiet_idle_ns; /* of those that were not: that ran; that never ran */
};

struct name_table {
	struct name_pool *slot;
	uint32_t mask;
};

/* Room for `names` of them; false without memory. */
bool names_init(struct name_table *t, struct arena *a, uint32_t names);

/* The pool of this name, made if there is none.  The text has to outlive the table. */
struct name_pool *names_find(const struct name_table *t, const char *name);

#endif
