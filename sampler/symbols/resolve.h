/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The work behind symbols_resolve(), once the files that describe a module are
 * open.  Tests and fuzzers come in here with files of their own.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_RESOLVE_H
#define SAMPLER_SYMBOLS_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/symbols/objects.h"
#include "sampler/symbols/symbol.h"

#define RESOLVE_MEMORY_MAX (24UL << 20) /* mapped while the work lasts, besides the results */

struct resolve_request {
	const struct module *m; /* its path, and where its tables are in memory */
	const struct objects *objects;
	const uint64_t *addr; /* as in the file (without load bias), ascending, without repeats */
	size_t count;
	enum symbols_detail detail;
	int64_t deadline_ns; /* for lines */
	bool is_whole;	     /* result: debug information was there and left nothing out */
};

/* Fills out[i] for addr[i].  False when memory ran out. */
bool resolve_addresses(struct arena *a, struct resolve_request *r, struct symbol *out);

#endif
