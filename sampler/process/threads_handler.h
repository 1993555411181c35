/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Where the records of threads.h lie, for threads_handler.c and threads.c.
 */
#ifndef SAMPLER_PROCESS_THREADS_HANDLER_H
#define SAMPLER_PROCESS_THREADS_HANDLER_H

#include "sampler/process/threads.h"

#define THREAD_REGION_BYTES (THREADS_MAX * sizeof(struct thread))

/* Set once, never unmapped. */
extern struct thread *_Atomic thread_region __attribute__((visibility("hidden")));

/* Some stack has a part that cannot be read: bounds tell nothing any more, of no thread. */
extern atomic_bool thread_stacks_have_holes __attribute__((visibility("hidden")));

static inline struct thread *thread_records(void)
{
	return atomic_load_explicit(&thread_region, memory_order_acquire);
}

#endif
