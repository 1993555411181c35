/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * What processes did that were forked while a profile ran, as far as it was found in the
 * nursery: stacks, and whose they are.  Values are those of ticks; what the processes
 * used in all is known to whoever reads clocks (http/tree_clocks.h).
 *
 * Context: listener.
 */
#ifndef SAMPLER_CPU_BORN_H
#define SAMPLER_CPU_BORN_H

#include "sampler/cpu/nursery.h"
#include "sampler/unwind/stacks.h"
#include "sampler/unwind/walk.h"

/* Told apart; of those that come later only the name is known. */
#define BORN_MAX 320

struct born_process {
	int pid; /* 0: one of many */
	char name[NURSERY_NAME_BYTES];
};

struct born {
	struct stack_table stacks; /* label: a number of `list`, from 1 */
	struct born_process list[BORN_MAX];
	uint32_t count;
};

/* NULL without memory. */
struct born *born_make(void);
void born_release(struct born *b);

/* `value`: where a stack has its time. */
void born_add(struct born *b, const struct nursery_tick *tick, const struct walk *w, int value);

#endif
