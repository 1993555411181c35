/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * The end of a window: what each thread's time is divided into.
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_SPREAD_H
#define SAMPLER_WALL_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

struct wall_profile;

enum wall_state { WALL_RUNNING, WALL_RUNNABLE, WALL_BLOCKED };

/* A part of the time: of one thread in one stack, or of several that cannot be told apart. */
struct wall_part {
	const uint64_t *frame;
	uint32_t depth;
	int64_t ns;
	int tid;	    /* 0: of several threads */
	const char *thread; /* "" if it is not known, or several */
	enum wall_state state;
	const char *reason; /* for what it waits; "": that is not known */
	bool is_idle;	    /* the thread did nothing in the whole window but wait there */
};

/* Calls `fn` for all time of a stopped profile. */
void wall_each(struct wall_profile *w, void (*fn)(void *arg, const struct wall_part *part),
	       void *arg);

#endif
