/* symbols: names and lines of addresses.  May include process and below. */
/*
 * From addresses to names: functions, files and lines, inlined calls expanded.
 *
 * Works in batches, one module at a time: the symbol table is streamed past the
 * sorted addresses once, so memory depends on the number of addresses asked
 * for and not on the size of the module's debug data.  Files are read with
 * pread, never mapped (a file truncated under a mapping is a SIGBUS in the
 * target, H81), and trusted only when their build id (or, without one, their
 * program headers) equals that of the mapped object.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_SYMBOLS_H
#define SAMPLER_SYMBOLS_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/process/modules.h"
#include "sampler/symbols/symbol.h"

/*
 * Resolves `count` addresses of module `m`; `pc` is sorted ascending, without
 * repeats, each the address to look up as it is (callers have already taken 1
 * off return addresses).  Fills out[i] for pc[i] completely: an address that
 * has no name gets the one frame "[basename of m]" (counter symbol_names_unknown).
 *
 * Lines stop at `deadline_ns` (CLOCK_MONOTONIC); what is missing then is
 * counted in symbol_lines_timed_out and keeps its plain name.
 *
 * Names come from, first that works: the file of the module, its debug file by
 * build id (/usr/lib/debug/.build-id/xx/rest.debug) or .gnu_debuglink, the
 * dynamic symbol table in memory.
 *
 * Returns 0, or -1 when memory ran out (out is then undefined).
 */
int symbols_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		    enum symbols_detail detail, int64_t deadline_ns, struct symbol *out);

#endif
