/* http: the server and its pages.  May include proto and below. */
/*
 * Members that used less than a few ticks (balance_is_small()), as programs that a shell or a web
 * server executes: many of them no tick met, and what they used is [unsampled].  Those of one name
 * are weighed together: the ticks of some stand for all of them.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_SHORT_H
#define HTTP_TREE_SHORT_H

#include "proto/owners.h"
#include "sampler/base/arena.h"
#include "sampler/unwind/stacks.h"

struct tree_short {
	struct arena *arena;
	int *pid; /* in no order */
	size_t count, room;
};

/* A member ended within the profile.  Without memory it is weighed by itself. */
void tree_short_note(struct tree_short *t, int pid);

/* Weighs the stacks of those that were noted; `draw_ns` as in sampler/cpu/balance.h. */
void tree_short_weigh(struct tree_short *t, struct stack_table *stacks,
		      const struct owner_table *owners, int64_t draw_ns, int64_t period_ns,
		      int count_value, int time_value);

#endif
