/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * What a wall-clock profile consists of, for the files of this room.
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_PROFILE_H
#define SAMPLER_WALL_PROFILE_H

#include "sampler/cpu/account.h"
#include "sampler/unwind/blocked.h"
#include "sampler/unwind/stacks.h"
#include "sampler/wall/budget.h"
#include "sampler/wall/lives.h"

struct wall_profile {
	struct cpu_profile *cpu; /* of the same window */
	struct arena arena;
	struct life_table lives;
	struct stack_table stacks; /* where threads were found blocked; no values, no labels */
	struct blocked blocked;
	struct budget budget;
	int64_t period_ns; /* between two sweeps, on average */
	int64_t swept_ns;  /* when the last one was; at first the window's begin */
	int64_t due_ns;	   /* of the next */
	int64_t end_ns;	   /* of the window; 0 while it is open */
	uint32_t threads;  /* at the last sweep; and those of them whose place was not known */
	uint32_t unknown;
	bool clock_is_coarse;
	bool is_queue_unknown, is_place_unknown;
	int64_t unsampled_ns;
};

#endif
