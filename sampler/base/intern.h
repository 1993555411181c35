/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Equal strings once.  The strings live in one arena, the table that finds
 * them in another, so that results may outlive the work.  Context: listener.
 */
#ifndef SAMPLER_BASE_INTERN_H
#define SAMPLER_BASE_INTERN_H

#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"

struct intern_slot {
	const char *s; /* NULL: free */
	uint32_t len;
	uint32_t hash;
};

struct intern {
	struct arena *strings;
	struct arena *table;
	struct intern_slot *slot;
	size_t room; /* a power of two, or 0 before the first string */
	size_t count;
};

#define INTERN_INIT(strings_arena, table_arena)                                                    \
	{                                                                                          \
		.strings = (strings_arena), .table = (table_arena)                                 \
	}

/* A copy of the `len` bytes (less than 4 GiB) at `s`, ended with NUL; NULL without memory. */
const char *intern(struct intern *t, const char *s, size_t len);

#endif
