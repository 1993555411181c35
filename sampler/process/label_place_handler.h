/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Where the places of label_place.h lie, for its two files.
 */
#ifndef SAMPLER_PROCESS_LABEL_PLACE_HANDLER_H
#define SAMPLER_PROCESS_LABEL_PLACE_HANDLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PLACES 8192
/* Places that a thread may have, one behind the other: so a look is soon over. */
#define REACH 32

struct label_places {
	atomic_bool is_used; /* some place ever was */
	atomic_uint common;  /* sets up to here came with the first of the forks above; 0: none */
	/* a thread's id and, below it, its set; 0: free */
	atomic_uint_fast64_t at[PLACES + REACH];
};

extern struct label_places label_places __attribute__((visibility("hidden")));

_Static_assert(PLACES == 1U << (32 - 19), "the hash is as long as the table");

static inline atomic_uint_fast64_t *label_place_first(int tid)
{
	return &label_places.at[(uint32_t)tid * 0x9e3779b9U >> 19];
}

/* NULL: it has none; else *seen is what is there. */
static inline atomic_uint_fast64_t *label_place_find(int tid, uint64_t *seen)
{
	atomic_uint_fast64_t *first = label_place_first(tid);

	for (int i = 0; i < REACH; i++) {
		*seen = atomic_load_explicit(&first[i], memory_order_relaxed);
		if (*seen >> 32 == (uint32_t)tid)
			return &first[i];
	}
	return NULL;
}

#endif
