/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The samples of a profile: stacks of places, each once.
 *
 * Context: listener.
 */
#ifndef PROTO_SAMPLES_H
#define PROTO_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"
#include "proto/places.h"
#include "proto/sample_labels.h"
#include "sampler/unwind/stacks.h"

struct sample_table {
	struct message_sample *sample;
	size_t count;
	uint32_t *of_stack; /* for each stack of the table: its sample; MESSAGE_NONE if left out */
};

/*
 * Takes all stacks of which one of the first `values` values is not zero, adds
 * their addresses to `places`, and merges what are then the same stacks.
 * Stacks that differ in their label only and have none in `labels` are the same.  Returns
 * 0, or -1 when memory ran out.
 */
int sample_table_fill(struct sample_table *t, struct arena *a, const struct stack_table *stacks,
		      size_t values, struct sample_labelling labels, struct place_table *places);

#endif
