/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The calling thread's own stack, for walks that happen on it.  Known for the
 * main thread and for threads that passed through our pthread_create; for others,
 * and on coroutine or alternate stacks, the kernel copies instead.
 */
#ifndef SAMPLER_PROCESS_OWN_STACK_H
#define SAMPLER_PROCESS_OWN_STACK_H

#include <stdint.h>

struct own_stack {
	uint64_t lo, hi; /* readable while the thread runs on it; hi 0: not known */
};

/* Context: hook. */
struct own_stack own_stack(void);

/*
 * The program is about to make this memory unreadable.  If it is of the main thread's stack or
 * of the calling thread's, no bounds are believed from then on (counter stacks_with_holes):
 * the kernel copies.  Context: hook.
 */
void own_stack_note_hole(uint64_t at, uint64_t bytes);

/* The main thread: `argv` as the kernel laid it out.  Context: init. */
void own_stack_set_main(const void *argv);

/*
 * A new thread, made with these attributes.  glibc puts the thread's control
 * block at the top of the block it gives the thread, so the stack lies between
 * that and `stack_bytes` less `guard_bytes` below, a little less to be safe.
 * Context: hook.
 */
void own_stack_set_thread(uint64_t stack_bytes, uint64_t guard_bytes);

#endif
