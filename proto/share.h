/* proto: profiles as files and as text.  May include threads and below. */
/*
 * A profile as a member of a tree hands it to the process that has the port: stacks whose
 * frames are a module and an address in its file, and their values.  No names: who has
 * the port has read most files already, and can where a member, in its chroot, cannot.
 * Only code that was made at run time has names with it, because these are told where
 * the member is.
 *
 * Several may stand one behind the other, each of which says all that those before it
 * said: the last whole one counts.  So there is something of who ends before it is done.
 *
 * Context: listener.
 */
#ifndef PROTO_SHARE_H
#define PROTO_SHARE_H

#include <stdbool.h>

#include "proto/encode.h"
#include "proto/owners.h"
#include "sampler/unwind/stacks.h"

#define SHARE_COMMENTS_MAX  8
#define SHARE_COMMENT_BYTES 256

struct share_head {
	uint32_t values; /* of each stack */
	int64_t own_ns;	 /* CPU time that our own thread used meanwhile */
	/* Of processes that were forked meanwhile, see nursery.h. */
	int64_t born, ended, ended_ns, tails_ns;
	/* What the member says about its part: so many of these are sent, cut to so many bytes. */
	const char *const *comment;
	size_t comment_count;
};

/* What a member is asked for.  Returns 0, or -1 without memory. */
int share_write(struct arena *a, const struct share_head *head, const struct stack_table *stacks,
		const struct owner_table *owners, struct bytes *out);

struct share_result {
	struct share_head head;
	int64_t total[STACK_VALUES_MAX]; /* of the member itself, without those that it forked */
	char comment[SHARE_COMMENTS_MAX][SHARE_COMMENT_BYTES];
	size_t comment_count;
};

/*
 * Adds what `bytes` hold to `into`, with the labels of this process.  Nothing in them is
 * trusted.  False: they make no sense from some point on, or come from another version of
 * this library; what came before that point was added.
 */
bool share_add(struct stack_table *into, struct owner_table *owners, int pid, const char *process,
	       struct bytes bytes, struct share_result *out);

/*
 * The number of the module whose addresses are those of code of no object in a process of this
 * name; 0: there is no room.
 */
uint32_t share_place_of(const char *process);

/* The same for a table of this process; with `process` NULL its owners stay whose they are. */
void share_add_own(struct stack_table *into, struct owner_table *owners, int pid,
		   const char *process, const struct stack_table *from,
		   const struct owner_table *from_owners);

/* Of these only what processes did that this one forked meanwhile. */
void share_add_newborns(struct stack_table *into, struct owner_table *owners,
			const struct stack_table *from, const struct owner_table *from_owners);

#endif
