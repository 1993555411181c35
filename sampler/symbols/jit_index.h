/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Where in a file of names each entry is: what it covers, and where its name stands.  Both
 * kinds of files only grow, so of one that was read before only what came since is read;
 * one that is another, or was written anew, is read from its beginning.
 *
 * Holds JIT_ENTRIES_MAX entries of each file; of more, the oldest are forgotten.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_JIT_INDEX_H
#define SAMPLER_SYMBOLS_JIT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define JIT_CHUNK_ENTRIES 4096
#define JIT_CHUNKS_MAX	  100 /* 10 MB */
#define JIT_ENTRIES_MAX	  (JIT_CHUNKS_MAX * JIT_CHUNK_ENTRIES)
#define JIT_SAMPLE_BYTES  256

struct jit_entry {
	uint64_t start;
	uint64_t at; /* of its name or record, in the file */
	uint32_t size;
	uint32_t lines; /* a record of lines lies so many bytes before; 0: there is none */
};

struct jit_chunk;

struct jit_index {
	struct jit_chunk *chunk[JIT_CHUNKS_MAX]; /* the oldest first */
	size_t chunk_count;
	uint64_t read_to;  /* of the file; 0: nothing was read */
	uint64_t lines_at; /* of jitdump: what belongs to the next load; 0: none */
	uint64_t device, inode;
	char sample[JIT_SAMPLE_BYTES]; /* the file's bytes before read_to */
	bool has_forgotten;
};

/* Makes it one of this file: what is known of it stays if the file has only grown. */
void jit_index_open(struct jit_index *x, int fd, const struct stat *st);

/* False without memory. */
bool jit_index_add(struct jit_index *x, const struct jit_entry *e);

/* The file is known up to `read_to`. */
void jit_index_close(struct jit_index *x, int fd, uint64_t read_to);

/*
 * Calls `fn` for each entry, the youngest first, until it returns false.
 */
void jit_index_each(const struct jit_index *x, bool (*fn)(const struct jit_entry *e, void *arg),
		    void *arg);

/* Gives all memory back. */
void jit_index_release(struct jit_index *x);

#endif
