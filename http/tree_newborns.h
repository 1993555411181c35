/* http: the server and its pages.  May include proto and below. */
/*
 * CPU time of processes that were forked while the profile was taken, most of which have
 * ended: what their ticks stand for is weighed with what they used, as that of threads is
 * (sampler/cpu/account.h).  Their clocks are gone with them; what they used they say when
 * they exit, or it is in their parents' sums, together with that of programs that were
 * executed.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_NEWBORNS_H
#define HTTP_TREE_NEWBORNS_H

#include "http/tree_clocks.h"
#include "proto/owners.h"
#include "proto/share.h"
#include "sampler/unwind/stacks.h"

struct tree_newborns {
	struct stack_table *stacks; /* of all, those of newborns among them */
	const struct owner_table *owners;
	struct tree_clocks *clocks;
	struct share_head counts;   /* of all that were forked */
	int64_t draw_ns, period_ns; /* CPU time from tick to tick; and as the profile says it */
	int count_value, time_value;
	bool (*is_wanted)(const struct owner *o, void *arg); /* others are left out */
	void *arg;
};

/*
 * `ended_ns`: what all have used that ended and no other sample stands for.  Gives each
 * newborn's stacks its time, and returns what is left of it; those that are still there
 * have what is left of theirs in the clocks' `sampled_ns`.
 */
int64_t tree_newborns_weigh(const struct tree_newborns *n, struct arena *a, int64_t ended_ns);

#endif
