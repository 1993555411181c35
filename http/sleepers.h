/* http: the server and its pages.  May include proto and below. */
/*
 * Processes of the tree that did not answer: they sleep, are stopped, have a system-call
 * filter, or do not have this library.  What their threads wait in, or what they have counted at
 * their sites, is read from outside, where the kernel allows it.  One after the other, so that
 * others are served between them; where time is over before all have had their turn, the next
 * request begins with those that had none.
 *
 * Context: listener.
 */
#ifndef HTTP_SLEEPERS_H
#define HTTP_SLEEPERS_H

#include "http/tree.h"
#include "proto/owners.h"
#include "sampler/threads/dump.h"
#include "sampler/unwind/other_sites.h"
#include "sampler/unwind/stacks.h"

struct sleepers {
	struct tree_request *tree; /* NULL: not begun */
	int64_t *clock_ns;	   /* of each process of the tree, as it was; NULL: not noted */
	size_t first, next; /* who begins, and how many have had their turn */
	int64_t until_ns;
	bool can_look;
	/* Of the last one that had its turn, in the middle of it, one of these; NULL: none. */
	struct dump *dump;
	struct other_sites *sites;
	/* For who takes them: their stacks, each with its thread as a label. */
	struct stack_table stacks;
	struct owner_table owners;
};

/*
 * Notes what processes have used so far: of a profile of time, only those are looked at that use
 * nothing until then, for these were where they are all the time.  Zero-initialised before.
 */
void sleepers_watch(struct sleepers *s, const struct tree_request *t, struct arena *a);

#define SLEEPERS_PATIENCE_NS (400 * NS_PER_MS) /* scrapers wait as long after the sampling */

/* What to look for in them. */
struct sleepers_want {
	/* Is handed the threads of one, which are freed when it returns. */
	void (*take)(void *arg, const struct dump *d, const struct process *of);
	/* Or these sites, once all were read: has stacks and values made of them, and takes these.
	 */
	const struct other_sites_kind *kind;
	enum outside (*take_sites)(void *arg, struct other_sites *o, const struct process *of);
	void *arg;
	int64_t patience_ns; /* in all, at most */
};

/*
 * After the last answer: looks at some, and hands each one to who wants it, who fills stacks and
 * owners, or does what it likes.  Returns when to call it again; 0: it is done.
 */
int64_t sleepers_look(struct sleepers *s, struct tree_request *t, struct arena *a,
		      const struct sleepers_want *want);

void sleepers_end(struct sleepers *s);

#endif
