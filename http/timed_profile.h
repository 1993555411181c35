/* http: the server and its pages.  May include proto and below. */
/*
 * What the profiles that are taken for a while have in common: the head of the answer goes
 * out at once, so that a client knows early that the profile is being taken; the server
 * waits while it is; then comes what it found.  A page of such a profile fills in one
 * structure.
 *
 * Context: listener.
 */
#ifndef HTTP_TIMED_PROFILE_H
#define HTTP_TIMED_PROFILE_H

#include "http/handlers.h"
#include "http/params.h"
#include "http/sleepers.h"
#include "proto/build.h"
#include "proto/owners.h"
#include "proto/share.h"

struct timed_page {
	const char *name; /* of the page, for members of the tree */
	const char *file; /* of the file */
	const char *what; /* is taken: "CPU", for a refusal */
	enum params_of params;
	bool has_clocks;  /* its values are CPU time, see tree_profile.h */
	bool can_be_read; /* stacks() tells what there is before stop, too */
	const struct profile_head *kind;

	/* Begins, at *start_ns (CLOCK_MONOTONIC); NULL and a sentence in *why when that cannot
	 * work now. */
	void *(*start)(const struct params *p, int64_t *start_ns, const char **why);
	/* Works; returns when to call it again (CLOCK_MONOTONIC ns).  NULL: nothing to do. */
	int64_t (*step)(void *profile);
	/* Ends the window. */
	void (*stop)(void *profile);
	/* Gives all back, stopped or not. */
	void (*free)(void *profile);
	/*
	 * After stop: the stacks, which live until free(), with their owners as labels in
	 * `owners`; and the head's times and comments.  NULL without memory.
	 */
	const struct stack_table *(*stacks)(void *profile, struct arena *a,
					    struct owner_table *owners, struct profile_head *head);
	/*
	 * The profile is one of the tree: processes that are forked until then are in it, and at
	 * the end it says how many they were.  Both NULL: it is not so.
	 */
	void (*include_children)(void *profile, int64_t until_ns);
	void (*count_children)(void *profile, struct share_head *head);
	/*
	 * After stop: the threads of a process that did not answer and has not run since the
	 * start, for `of` in `s`.  NULL: such processes have nothing in this profile.
	 */
	void (*take_sleeper)(void *profile, struct arena *a, struct sleepers *s,
			     const struct dump *d, const struct process *of);
	/* Has a look at the finished message.  NULL: nothing. */
	void (*refine)(struct arena *a, struct message *m);
};

extern const struct timed_page cpu_page, wall_page;

/* Answers a GET or HEAD of this page, which is borrowed for ever. */
void timed_profile_route(struct http_exchange *x, const struct http_request *r,
			 const struct timed_page *page);

#endif
