/*
 * Allocation sites: one record per distinct stack with the totals of what was
 * allocated there and what of it was freed.  Records are added by hooks, never
 * removed, and their totals only grow, as delta scrapers demand.
 */
#ifndef SAMPLER_SITES_H
#define SAMPLER_SITES_H

#include <stdatomic.h>
#include <stdint.h>

#define SITE_DEPTH_MAX 128 /* frames; a hook has them on the target's stack */

struct site {
	struct site *_Atomic next; /* in its bucket, or among the unresolved */
	/*
	 * An allocation whose stack a hook could not follow has a record of its own,
	 * until the listener knows the stack; then all that it counts belongs to this one.
	 */
	struct site *_Atomic resolved;
	uint64_t hash;
	/* modules_generation() when it was first seen; code_unloads() as long as unresolved */
	uint32_t generation;
	uint32_t depth;
	/* Blocks in 1/WEIGHT_ONE, bytes in 1. */
	atomic_uint_fast64_t alloc_blocks, alloc_bytes, free_blocks, free_bytes;
	uint64_t pc[]; /* look-up addresses, leaf first */
};

/*
 * Finds or adds the record of a stack.  At the limit of memory the one record
 * [other stacks] stands in (heap_sites_folded).  NULL only without any memory.
 * Context: hook, listener.
 */
struct site *site_of(const uint64_t *pc, uint32_t depth, uint32_t generation);

/* A record for an allocation whose stack is not known yet, or NULL.  Context: hook. */
struct site *site_unresolved(void);

/* Says which stack it was.  Context: listener. */
void site_resolve(struct site *unresolved, struct site *site);

/* Calls fn for every record, resolved ones not; unresolved ones have depth 0.  Context: listener.
 */
void sites_each(void (*fn)(struct site *s, void *arg), void *arg);

#endif
