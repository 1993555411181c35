/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Whose the stacks of a profile are: the process and the thread, as labels of samples; or
 * how old what they stand for is.  A
 * stack's label is the number of its owner.
 *
 * Context: listener.
 */
#ifndef PROTO_OWNERS_H
#define PROTO_OWNERS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/samples.h"
#include "sampler/base/arena.h"

#define OWNERS_MAX 16384

struct owner {
	int pid;	     /* 0: not told */
	int tid;	     /* 0: not told */
	const char *process; /* texts: "" for none */
	const char *thread, *state, *wait_reason;
	bool is_idle; /* it did nothing but wait */
	/* A process that was forked while the profile ran; another one told what it did. */
	bool is_newborn;
	int64_t age_s; /* of blocks, about; 0: not told */
};

struct owner_table {
	struct arena *arena;
	struct owner *list; /* number n is at n - 1 */
	uint32_t *slot;	    /* numbers by all of it, 0 while free */
	uint32_t count;
	bool without_tids; /* threads that are alike are one owner */
};

/*
 * The number of this process's thread, for stack_table_add_labelled(); texts are copied
 * when it is new.  0: none, as there are too many or memory ran out (counted).
 */
uint32_t owner_number(struct owner_table *t, const struct owner *o);

/* The labels of all of them, in order of key, as Go writes them; NULL without memory. */
const struct sample_labels *owner_labels(struct arena *a, const struct owner_table *t);

#endif
