/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * What is mapped at addresses that belong to no loaded object: code made at
 * run time, files mapped by hand.  One streaming read of /proc/thread-self/maps
 * answers for all addresses of a profile; nothing is kept between calls.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_MAPS_H
#define SAMPLER_PROCESS_MAPS_H

#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"

/* A run of adjacent executable mappings with one name. */
struct maps_range {
	uint64_t start;
	uint64_t limit;	  /* first byte behind */
	uint64_t offset;  /* of `start` in the file, 0 without one */
	const char *file; /* path without " (deleted)", or one of "[anon]", "[jit]", "[heap]"... */
	const char *name; /* what to call code there: "[anon]", "[jit]", "[basename]" */
};

/*
 * Finds the executable range of each of `count` addresses, sorted ascending.
 * range[i] is NULL where nothing executable is mapped; equal pointers are the
 * same range.  Ranges live in `a`.  Returns 0, or -1 when memory ran out.
 *
 * Memory without a file is "[anon]"; if somebody gave it a name (memfd,
 * /dev/zero, prctl's [anon:...]), which is what makers of code do, "[jit]".
 */
int maps_find(struct arena *a, const uint64_t *pc, size_t count, const struct maps_range **range);

#endif
