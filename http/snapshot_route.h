/* http: the server and its pages.  May include proto and below. */
/*
 * What the profiles that are always on have in common: a snapshot of all that
 * was counted so far, with seconds=N the difference between two of them, with
 * debug=1 text.  A page of such a profile fills in one structure.
 *
 * Context: listener.
 */
#ifndef HTTP_SNAPSHOT_ROUTE_H
#define HTTP_SNAPSHOT_ROUTE_H

#include "http/handlers.h"
#include "proto/build.h"
#include "sampler/unwind/other_sites.h"

struct snapshot_page {
	const char *name, *delta_name; /* of the files */

	/* Why there is no such profile, as a sentence; NULL: there is one. */
	const char *(*refusal)(void);

	/* Fills in types and period, and comments if there are any, after a snapshot; the rest is
	 * 0. */
	void (*fill_head)(struct profile_head *head);
	const char *default_sample_type;
	/*
	 * How many first values only grow: of a process that ended they stay.  0: the page is
	 * about what is there now.
	 */
	unsigned growing_values;
	const char *what_they_did; /* of those that were never asked: "allocated"; NULL: nothing */
	bool tells_bytes;	   /* and how many bytes that was */

	/* `own`: without what a forked process has from its parent */
	void (*snapshot)(struct stack_table *t, bool own);

	/*
	 * The same of what has been there for so long or longer; `ages`: with labels, of which
	 * n is 2^(n-1) seconds.  NULL: that is not known.
	 */
	void (*snapshot_older)(struct stack_table *t, bool own, int64_t seconds, bool ages);
	/* The same of when it was most; of this process, not its parent.  NULL: not known. */
	void (*snapshot_peak)(struct stack_table *t);

	/* The same of a process that does not answer, read from outside.  NULL: that is not read.
	 */
	const struct other_sites_kind *of_other;

	/* A difference is going to be taken, and was taken or given up; NULL: nothing to do. */
	void (*delta_begins)(void);
	void (*delta_ends)(void);

	/* Takes off frames that users need not see; NULL: none. */
	void (*trim)(struct arena *a, struct message *m);

	/* debug=1; returns 0, or -1 without memory. */
	int (*text)(struct arena *a, const struct message *m, struct bytes *out);
};

extern const struct snapshot_page heap_page, block_page, mutex_page;

/*
 * The file of this process's own profile as of now, in `a`.  Returns how many stacks are
 * in it, with none of them no file; -1 without memory.
 */
int64_t snapshot_file(struct arena *a, const struct snapshot_page *page, struct bytes *out);

/* The number of stacks in it now; 0 when there is no such profile. */
uint64_t snapshot_count(const struct snapshot_page *page);

/* Answers a GET or HEAD of this page, which is borrowed for ever. */
void snapshot_route(struct http_exchange *x, const struct http_request *r,
		    const struct snapshot_page *page);

#endif
