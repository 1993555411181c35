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

/*
 * One source-level frame.  Every string is valid UTF-8, ended with NUL, never
 * NULL, and lives in the arena given to symbols_resolve().
 */
struct symbol_frame {
	const char *name;	 /* demangled, no parameter list; "[basename]" if unknown */
	const char *system_name; /* linkage name; equals name for C */
	const char *file;	 /* absolute path, "" if unknown */
	uint32_t line;		 /* of this frame's current position, 0 if unknown */
	uint32_t start_line;	 /* where the function is declared, 0 if unknown */
};

/* What is at one address. */
struct symbol {
	struct symbol_frame
		*frame;	      /* innermost (inlined) first; the last is the physical function */
	uint32_t frame_count; /* at least 1 once resolved */
};

/* Which work is worth doing. */
enum symbols_detail {
	SYMBOLS_NAMES, /* physical functions only: .symtab, .dynsym, PLT */
	SYMBOLS_LINES, /* and file, line, inlined frames from DWARF where there is any */
};

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
