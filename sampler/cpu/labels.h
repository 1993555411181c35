/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The threads that a CPU profile has samples of, by number: a stack of the profile has
 * the number of the thread that it was seen in.  A name is read at a thread's first
 * sample, since it may have ended when the profile does, and once more at the end,
 * since programs name their threads after they have started.
 *
 * Context: listener.
 */
#ifndef SAMPLER_CPU_LABELS_H
#define SAMPLER_CPU_LABELS_H

#include <stdint.h>

#include "sampler/base/arena.h"

#define CPU_LABELS_MAX 4096 /* threads of one profile; those beyond are not told apart */

struct cpu_label {
	int tid;
	char name[16]; /* "" if it could not be read */
};

struct cpu_labels {
	struct cpu_label *list; /* number n is at n - 1 */
	uint32_t *slot;		/* numbers by tid, 0 while free */
	uint32_t count;
};

/* The number of a thread, with memory from `a`; 0: it has none. */
uint32_t cpu_label_of(struct cpu_labels *l, struct arena *a, int tid);

/* The number that it has; 0: it has none. */
uint32_t cpu_label_find(const struct cpu_labels *l, int tid);

/* Reads the names of threads that are still there. */
void cpu_labels_refresh(struct cpu_labels *l);

#endif
