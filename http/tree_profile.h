/* http: the server and its pages.  May include proto and below. */
/*
 * A profile of the whole tree: what all its processes answered in one table, each stack
 * with its process as labels, and comments that say who is in it and who is not.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_PROFILE_H
#define HTTP_TREE_PROFILE_H

#include "http/params.h"
#include "http/sleepers.h"
#include "http/tree.h"
#include "http/tree_clocks.h"
#include "http/tree_said.h"
#include "http/tree_short.h"
#include "proto/build.h"
#include "proto/owners.h"
#include "proto/share.h"

/* What a process that did not answer does: debug=2. */
struct tree_text {
	struct tree_text *next;
	const struct process *of;
	struct bytes bytes;
};

struct tree_profile {
	struct tree_request request;
	const char *name; /* of the page */
	char id[24];	  /* by which members end theirs early */
	struct params query;
	int64_t end_ns;		 /* of what takes time, 0: a snapshot */
	unsigned growing_values; /* see snapshot_page; 0: what was answered before is of no use */
	bool has_clocks;	 /* values are CPU time, which clocks know better */
	bool clocks_are_read;	 /* at the end */
	struct tree_clocks clocks;
	struct tree_short short_lived;
	struct share_head newborns; /* how many were forked meanwhile */
	int64_t draw_ns;	    /* CPU time from tick to tick */
	int64_t ended_sampled_ns;   /* samples of processes that were never seen */
	struct stack_table stacks;  /* of all of them */
	struct owner_table owners;
	struct tree_said said;	  /* by members, of their parts */
	struct sleepers sleepers; /* those that did not answer; for who has a use for them */
	struct tree_text *sleepers_text;
};

/*
 * Asks all for page `name`; `end_ns` is when a profile that takes time will be over, 0 for
 * a snapshot; `patience_ns` as in tree_request.  NULL without memory: then the profile has this
 * process alone.
 */
struct tree_profile *tree_profile_begin(struct arena *a, const char *name, const struct params *p,
					int64_t end_ns, int64_t patience_ns);

/* The profile is one of CPU time; call it right after the beginning. */
void tree_profile_use_clocks(struct tree_profile *p);

/*
 * When to look again; 0: everything is there.  With `hurry` the profile is to end now, and
 * so are those of members.
 */
int64_t tree_profile_look(struct tree_profile *p, bool hurry);

/*
 * After that: reads the sites of processes that did not answer from outside, and keeps them as
 * what they answered last; of so many values.  Returns when to go on; 0: it is done.
 */
int64_t tree_profile_read_sites(struct tree_profile *p, struct arena *a,
				const struct other_sites_kind *kind, uint32_t values,
				int64_t patience_ns);

/*
 * The table of all, `own` of this process among them, whose labels are numbers in
 * `own_owners` (NULL: there are none).  Sets labels and comments of the head.  It lives
 * until tree_profile_end().  NULL without memory.
 */
const struct stack_table *tree_profile_merge(struct tree_profile *p, struct arena *a,
					     const struct stack_table *own,
					     const struct owner_table *own_owners,
					     struct profile_head *head);

/*
 * The texts of all processes one behind the other, `own` first, for debug=2: each begins
 * with a line that names its process.  Returns 0, or -1 without memory.
 */
int tree_profile_join_texts(struct tree_profile *p, struct arena *a, struct bytes own,
			    struct bytes *out);

void tree_profile_end(struct tree_profile *p);

#endif
