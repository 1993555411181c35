/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Labels that the program gives to what its threads do (include/pprofshim.h): sets of at most
 * eight pairs of key and value.  Each distinct set has a number for as long as the process
 * lives, and that is a pseudo frame (frame.h): whoever keeps a stack puts it behind the root.
 * So stacks with other labels are other stacks, everywhere, and without labels nothing is
 * there at all.  What makes samples of stacks takes it off again (proto/program_labels.h).
 *
 * Sets are never forgotten, so there is a bound; beyond it a value is LABEL_OTHER.
 */
#ifndef SAMPLER_PROCESS_LABEL_SET_H
#define SAMPLER_PROCESS_LABEL_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/frame.h"

#define LABEL_PAIRS_MAX 8
#define LABEL_KEY_MAX	64 /* bytes; what is longer is cut */
#define LABEL_VALUE_MAX 128
#define LABEL_OTHER	"[other]"

/* The frames of sets: the upper part of the pseudo frames. */
#define LABEL_SETS_MAX	3072
#define FRAME_OF_LABELS (FRAME_PSEUDO_LIMIT - LABEL_SETS_MAX)

/*
 * The labels of the calling thread: a set's frame, or 0.  For hooks; a tick, which may come where
 * the thread pointer is not libc's, and who looks from outside ask label_place.h.
 */
extern __thread uint32_t label_set_mine
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Context: any role. */
static inline bool frame_is_labels(uint64_t frame)
{
	return frame >= FRAME_OF_LABELS && frame < FRAME_PSEUDO_LIMIT;
}

/* The set that a stack has behind its root; 0: none.  Context: any role. */
static inline uint32_t frames_labels(const uint64_t *frame, uint32_t depth)
{
	return depth > 1 && frame_is_labels(frame[depth - 1]) ? (uint32_t)frame[depth - 1] : 0;
}

/* In order of key. */
struct label_set {
	uint32_t count;
	const char *key[LABEL_PAIRS_MAX], *value[LABEL_PAIRS_MAX];
};

/* What set a frame stands for; the texts live for ever.  Context: any role. */
void label_set_get(uint32_t set, struct label_set *out);

/*
 * The set with this pair in it as well, or in place of the one of this key; without a value:
 * without that key; without a key: 0.  What cannot be is as it was, and counted.  Context: hook,
 * also in a signal handler of the program.
 */
uint32_t label_set_with(uint32_t set, const char *key, const char *value);

/* A set of another process: any texts.  0: it has no pair that can be.  Context: listener. */
uint32_t label_set_meet(const struct label_set *theirs);

/* A set of that number was given out, or it is 0.  Context: hook. */
bool label_set_exists(uint32_t set);

/* No set has a higher number; 0: there is none.  Context: child. */
uint32_t label_set_last(void);

/* How many sets and keys there are, of this process and of others.  Context: listener. */
struct label_set_counts {
	uint32_t own, own_max, others, others_max;
};
struct label_set_counts label_set_count(void);

#endif
