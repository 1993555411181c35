/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The labels of a thread together with those that the program gave (process/label_set.h).
 *
 * Context: listener.
 */
#ifndef PROTO_PROGRAM_LABELS_H
#define PROTO_PROGRAM_LABELS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/sample_labels.h"
#include "sampler/base/arena.h"

struct joined_labels;

struct program_labels {
	struct arena *arena;
	struct joined_labels *list; /* each owner with each set */
	uint32_t *slot;		    /* numbers by both, 0 while free */
	uint32_t count, room;
};

/*
 * Adds those of `set` to *of, the labels of `owner`: the same every time for the same two.
 * False without memory.
 */
bool program_labels_join(struct program_labels *p, uint32_t owner, uint32_t set,
			 struct sample_labels *of);

/*
 * What became of labels that had no room, as a sentence in `a` for the profile; NULL: nothing
 * is missing.
 */
const char *program_labels_comment(struct arena *a);

#endif
