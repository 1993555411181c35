/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * What hooks and handlers know of what is loaded: whether the listener has caught up with
 * what was unloaded, and a stamp for what they capture.  docs/PROTOCOLS.md, "Loaded code".
 */
#ifndef SAMPLER_UNWIND_CODE_STAMP_H
#define SAMPLER_UNWIND_CODE_STAMP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* When something was captured, as far as unloading and looks at the loader's list go. */
struct code_stamp {
	uint64_t closes; /* calls of dlclose that had begun (low half) and ended (high half) */
	uint32_t looks;	 /* one up when a look begins, and when it ends */
	uint16_t unsure; /* unloads that did not wait long enough for what was captured before */
	bool was_fresh;	 /* code_is_fresh() */
	bool is_awaited; /* it lies in a ring: who unloads waits until it is followed */
};

/* What hooks and handlers share with the listener; see code.c, which moves all of it. */
struct code_shared {
	atomic_uint_fast64_t closes;	/* written by hooks */
	atomic_uint_fast64_t caught_up; /* written by the listener */
	atomic_uint looks;		/* written by the listener */
	atomic_uint unsure;		/* written by hooks */
};

extern struct code_shared code_shared __attribute__((visibility("hidden")));

/* The rows of modules that may go may be used.  Context: hook, listener. */
static inline bool code_is_fresh(void)
{
	/* caught_up first: it is never ahead */
	uint64_t caught_up = atomic_load_explicit(&code_shared.caught_up, memory_order_acquire);

	return caught_up == atomic_load_explicit(&code_shared.closes, memory_order_acquire);
}

/* To be taken before the stack is copied.  Context: hook, handler, listener. */
static inline struct code_stamp code_stamp(void)
{
	struct code_stamp s = {
		.looks = atomic_load_explicit(&code_shared.looks, memory_order_acquire),
		.unsure = (uint16_t)atomic_load_explicit(&code_shared.unsure, memory_order_acquire),
		.was_fresh = code_is_fresh()
	};

	/* last: what was fresh was so with this value, or was not */
	s.closes = atomic_load(&code_shared.closes);
	return s;
}

/*
 * The same of what has its place in a ring already: whoever moves `closes` after this sees
 * that the ring is not empty.  Context: hook, handler.
 */
static inline struct code_stamp code_stamp_in_ring(void)
{
	struct code_stamp s = code_stamp();

	s.is_awaited = true;
	return s;
}

#endif
