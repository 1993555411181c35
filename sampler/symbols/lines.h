/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Files, lines and inlined calls for addresses whose functions are known, from
 * the debug information of an object.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_LINES_H
#define SAMPLER_SYMBOLS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/base/intern.h"
#include "sampler/symbols/elf.h"
#include "sampler/symbols/symbol.h"

struct lines_request {
	const struct elf *e;	/* has the debug information, or has none */
	const char *path;	/* of the object, for what lies beside it */
	const uint64_t *addr;	/* as in the file, ascending */
	size_t count;		/* fewer than 2^32 */
	struct symbol *symbol;	/* one frame each, with its names; refined in place */
	const char *unknown;	/* the name of a frame that has none */
	struct intern *strings; /* whose strings live as long as the symbols */
	struct arena *out;	/* of the symbols */
	size_t memory;		/* bytes that the work may take */
	int64_t deadline_ns;	/* CLOCK_MONOTONIC */
	bool is_whole;		/* result: there was debug information, and nothing was left out */
};

/*
 * Does what it can.  Addresses that it leaves for lack of time count in
 * symbol_lines_timed_out, for lack of memory or because of damage in
 * symbol_lines_refused.  False when `out` is exhausted.
 */
bool lines_resolve(struct lines_request *r);

#endif
