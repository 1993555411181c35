/* http: the server and its pages.  May include proto and below. */
/*
 * What a thread dump means: each thread's state in words, who holds the lock it
 * waits for, and whether threads wait for each other in a circle.
 *
 * Context: listener.
 */
#ifndef HTTP_THREAD_VIEW_H
#define HTTP_THREAD_VIEW_H

#include "proto/build.h"
#include "proto/threads.h"
#include "sampler/locks/wait_reason.h"
#include "sampler/threads/dump.h"

struct thread_view {
	struct thread_entry *entry;
	struct wait_reason *wait;	   /* of each entry */
	const struct dump_thread **thread; /* where each entry is from */
	uint32_t count;
};

/* Room for `threads` entries, in `a`.  Returns 0, or -1 when memory ran out. */
int thread_view_init(struct thread_view *v, struct arena *a, uint32_t threads);

/*
 * Appends the threads of `d`.  Its stack i is sample of_stack[i] of `m`.  `weight`
 * as in thread_entry.
 */
void thread_view_add(struct thread_view *v, const struct dump *d, const struct message *m,
		     const uint32_t *of_stack, int weight);

/*
 * The same of a dump whose stacks are not named: each is its own sample.  `before`: of a
 * difference, or NULL.
 */
int thread_view_nameless(struct thread_view *v, struct arena *a, const struct dump *d,
			 const struct dump *before);

/*
 * Samples whose label wait_reason says no more than that they are in a futex: by the
 * functions of libc that they are in, it says what they wait for.
 */
void thread_view_refine(struct arena *a, struct message *m);

/*
 * Finds who holds what (reads the program's memory), and returns what a reader of
 * the dump should know first: deadlocks, locks whose holder is gone, what could
 * not be seen.  Whole lines that begin with '#', "" for nothing; in `a`.  With `for_tree` lines
 * for tree_waits_take() come first.
 */
const char *thread_view_preface(struct thread_view *v, struct arena *a, const struct dump *d,
				bool for_tree);

#endif
