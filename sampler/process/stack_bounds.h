/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Where threads' own stacks lie, so that the handler may copy them directly.
 *
 * The main thread's stack ends at the program's arguments.  glibc puts a
 * thread's control block (the thread pointer) at the top of its stack, so for
 * the others the stack is what lies below it in the same mapping.  Everything
 * else is copied by the kernel, which stops where memory ends.
 */
#ifndef SAMPLER_PROCESS_STACK_BOUNDS_H
#define SAMPLER_PROCESS_STACK_BOUNDS_H

#include <stdbool.h>
#include <stdint.h>

struct stack_bounds {
	uint64_t lo, hi; /* [lo, hi) */
};

/* `argv`: as the kernel laid it out.  Context: init. */
void stack_bounds_init(const void *argv);

/* Of the main thread's stack; hi 0: not known.  Context: any role. */
struct stack_bounds stack_bounds_main(void);

/* Bounds for the main thread; false for any other.  Context: any role. */
bool stack_bounds_of_main(int tid, struct stack_bounds *out);

/*
 * Finds the bounds of threads that have been sampled (thread.tp) and have none
 * yet, with one read of /proc/thread-self/maps for all.  Context: listener.
 */
void stack_bounds_resolve(void);

#endif
