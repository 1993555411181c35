/* symbols: names and lines of addresses.  May include process and below. */
/*
 * What the readers of perf maps and of jitdump files share: the addresses that are
 * asked for, what may be spent on them, and the index of the file.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_JIT_SEARCH_H
#define SAMPLER_SYMBOLS_JIT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/jit_index.h"
#include "sampler/symbols/symbol.h"

#define JIT_BLOCK_BYTES 65536UL

struct jit_search {
	struct arena *arena;
	const uint64_t *pc; /* ascending */
	size_t count;
	struct symbol_frame *frame; /* of each */
	bool *is_done;		    /* of each: this file has named it */
	size_t unnamed;
	uint64_t steps_left;	/* bounds what overlapping entries may cost */
	size_t name_bytes_left; /* and what their names may take */
	int64_t deadline_ns;
	char *block; /* JIT_BLOCK_BYTES for whoever reads */
	struct jit_index *index;
	int fd;
};

/* Which of the addresses lie in [start, start + size): the first; returns how many. */
size_t jit_search_covered(const struct jit_search *s, uint64_t start, uint64_t size, size_t *first);

/*
 * Gives those of [first, first + count) that have none that name; *kept is its copy, NULL
 * if it was empty.  False when there is nothing left to spend.
 */
bool jit_search_name(struct jit_search *s, size_t first, size_t count, const char *name, size_t len,
		     const char **kept);

/* Both read s->fd; they are given to jit_search_file() together. */
struct jit_reader {
	/*
	 * Adds what stands behind index->read_to to the index, and says where it stopped.  False:
	 * it is not as far as it should be.
	 */
	bool (*read)(struct jit_search *s, uint64_t size, uint64_t *read_to);
	/* Names what an entry covers; false as of jit_search_name(). */
	bool (*name)(struct jit_search *s, const struct jit_entry *e, size_t first, size_t count);
};

extern const struct jit_reader perf_map_reader, jitdump_reader;

/* Reads what came since, and names what is covered by the youngest entry for each address. */
bool jit_search_file(struct jit_search *s, const struct jit_reader *r, const struct stat *st);

#endif
