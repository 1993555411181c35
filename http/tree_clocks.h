/* http: the server and its pages.  May include proto and below. */
/*
 * The CPU time of all processes of the tree while a profile is taken, from clocks and not
 * from samples, so that what no sample stands for is known for each process.
 *
 * The clock of a process that ended is gone.  What all that ended have used, those as well
 * that came and went between two looks, is in their parents' sums of waited-for children;
 * a parent that ignores SIGCHLD has none, and then the last look is what is known.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_CLOCKS_H
#define HTTP_TREE_CLOCKS_H

#include "sampler/process/descendants.h"

struct tree_clock {
	int pid;
	uint64_t start; /* as in struct process */
	char name[PROCESS_NAME_BYTES];
	bool was_there; /* when the profile began */
	bool is_there;	/* at the last look */
	bool is_self;
	int64_t first_ns, last_ns;		/* readings; of one that came later, first is 0 */
	uint64_t first_children, last_children; /* ticks, see struct process */
	int64_t sampled_ns;			/* for who uses this: what samples stand for */
};

struct tree_clocks {
	struct arena *arena;
	struct tree_clock *list;
	size_t count, room;
	int64_t next_look_ns;
};

/* Reads the clocks of these processes; memory comes from `a`. */
void tree_clocks_begin(struct tree_clocks *c, struct arena *a, const struct process_list *l);

/* Reads them again, now and then or, with `last`, at the end, and those that came since. */
void tree_clocks_look(struct tree_clocks *c, bool last);

/*
 * The clock of this process, which is or was there; NULL: it was never seen.  `start`: 0, and
 * then of two with that number the one that came last.
 */
struct tree_clock *tree_clocks_find(struct tree_clocks *c, int pid, uint64_t start);

/* What those that are not there any more have used meanwhile, in ns, after the last look. */
int64_t tree_clocks_ended_ns(const struct tree_clocks *c);

#endif
