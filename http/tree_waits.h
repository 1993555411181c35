/* http: the server and its pages.  May include proto and below. */
/*
 * Deadlocks between processes.  The text of each process's threads begins, for the one with
 * the port only, with a line for each thread that waits for what a thread of another process
 * holds, or for a thread that does: since when it has waited, and until when that was true.
 * Waits that form a circle, all of which were true at one moment, are a deadlock.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_WAITS_H
#define HTTP_TREE_WAITS_H

#include <stdint.h>

#include "proto/encode.h"
#include "sampler/base/arena.h"
#include "sampler/base/text.h"

#define TREE_WAITS_MAX	  4096 /* of all processes; of one, TREE_WAITS_OF_ONE */
#define TREE_WAITS_OF_ONE 256
#define TREE_WAIT_NAME	  32

struct tree_wait {
	int pid, tid;
	int owner; /* a tid */
	uint64_t lock;
	int64_t since_ns, until_ns; /* CLOCK_MONOTONIC, which all processes share */
	char name[TREE_WAIT_NAME];  /* of the thread */
};

struct tree_waits {
	struct tree_wait *list;
	uint32_t count;
};

void tree_wait_write(struct text *t, const struct tree_wait *w);

/*
 * Takes the lines off the front of the text of process `pid`; what they say of others is
 * not believed.  Returns the rest.
 */
struct bytes tree_waits_take(struct tree_waits *all, struct arena *a, int pid, struct bytes text);

/* A line for each circle. */
void tree_waits_tell(struct text *t, struct arena *a, const struct tree_waits *all);

#endif
