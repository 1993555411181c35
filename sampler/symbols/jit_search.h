/* symbols: names and lines of addresses.  May include process and below. */
/*
 * What the readers of perf maps and of jitdump files share: the addresses that are
 * asked for, and what may be spent on them.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_JIT_SEARCH_H
#define SAMPLER_SYMBOLS_JIT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/symbol.h"

#define JIT_BLOCK_BYTES 65536UL

struct jit_search {
	struct arena *arena;
	const uint64_t *pc; /* ascending */
	size_t count;
	struct symbol_frame *frame; /* of each */
	uint64_t steps_left;	    /* bounds what overlapping entries may cost */
	size_t name_bytes_left;	    /* and what their names may take */
	int64_t deadline_ns;
	char *block; /* JIT_BLOCK_BYTES for whoever reads */
};

/* Which of the addresses lie in [start, start + size): the first; returns how many. */
size_t jit_search_covered(struct jit_search *s, uint64_t start, uint64_t size, size_t *first);

/* Gives them that name.  False when there is nothing left to spend. */
bool jit_search_name(struct jit_search *s, size_t first, size_t count, const char *name,
		     size_t len);

/* Each reads `fd` as far as it can; false when that is not to its end. */
bool perf_map_read(struct jit_search *s, int fd, uint64_t size);
bool jitdump_read(struct jit_search *s, int fd, uint64_t size);

#endif
