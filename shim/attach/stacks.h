/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/*
 * The alternate signal stacks of a program's threads.  The kernel tells only the thread
 * itself; so each is stopped for a moment, wherever it is, and asked.
 */
#ifndef SHIM_ATTACH_STACKS_H
#define SHIM_ATTACH_STACKS_H

#include <stdint.h>

#include "sampler/cpu/carrier.h"
#include "shim/attach/target.h"

/* So many threads are asked, those that are listed first. */
#define STACKS_ASKED_MAX 128

/* One thread's; no bytes: it has none. */
struct stacks_one {
	int tid;
	uint64_t start, bytes;
};

/*
 * Asks them, but for our own thread, whose number in there is `ours`.  `at`: room for a
 * stack_t in the program's memory.  UNSEEN where there is no telling, as none could be
 * stopped, or one alone of several.
 */
enum carrier_stacks stacks_ask(const struct target *t, int ours, uint64_t at);

/* What `n` answers mean, in a process whose first thread is `pid`. */
enum carrier_stacks stacks_judge(const struct stacks_one *one, unsigned n, int pid);

#endif
