/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The name of an address: what symbols_resolve() answers.
 */
#ifndef SAMPLER_SYMBOLS_SYMBOL_H
#define SAMPLER_SYMBOLS_SYMBOL_H

#include <stdint.h>

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

#endif
