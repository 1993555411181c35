/* proto: profiles as files and as text.  May include threads and below. */
/*
 * From a table of stacks to a finished pprof file: symbolizes, makes mappings,
 * functions and locations as Go writes them, encodes, compresses.
 *
 * Context: listener.
 */
#ifndef PROTO_BUILD_H
#define PROTO_BUILD_H

#include "proto/encode.h"
#include "proto/sample_labels.h"
#include "sampler/symbols/symbols.h"
#include "sampler/unwind/stacks.h"

/* What a kind of profile says about itself; everything but the stacks. */
struct profile_head {
	struct message_value_type sample_type[MESSAGE_VALUES_MAX];
	size_t sample_type_count;
	const char *default_sample_type;
	struct message_value_type period_type;
	int64_t period;
	int64_t time_ns;
	int64_t duration_ns;
	const char *const *comment;
	size_t comment_count;
	struct sample_labelling labels; /* see proto/sample_labels.h */
};

/*
 * Builds the message of all stacks in `t`, for who writes another format.  It
 * lives in `a`.  Returns like build_profile().
 */
int build_message(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		  enum symbols_detail detail, struct message *out);

/*
 * The same; (*of_stack)[i] is the sample of stack i of the table, MESSAGE_NONE for
 * one whose values are all zero.
 */
int build_message_of(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		     enum symbols_detail detail, struct message *out, const uint32_t **of_stack);

/* The gzip'd file of a finished message, in `a`.  Returns like build_profile(). */
int build_file(struct arena *a, const struct message *m, struct bytes *out);

/*
 * Builds the gzip'd file of all stacks in `t` into arena `a`.  Stacks whose
 * values are all zero are left out.  Returns 0, or -1 when memory ran out.
 */
int build_profile(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		  enum symbols_detail detail, struct bytes *out);

#endif
