/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Line tables: the files of a unit, and which line each address belongs to.
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_LINE_H
#define SAMPLER_SYMBOLS_DWARF_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/base/intern.h"
#include "sampler/symbols/dwarf_unit.h"

#define DWARF_PATH_BYTES 4096 /* longer paths are cut */

struct dwarf_line_name {
	struct dwarf_value name;
	uint64_t directory; /* of a file: its number */
};

/* The header of one line table. */
struct dwarf_lines {
	const struct dwarf_unit *u;
	struct dwarf_encoding enc; /* of the table; it may differ from the unit's */
	const char *directory;	   /* in which the compiler ran */
	struct dwarf_line_name *dir;
	struct dwarf_line_name *file;
	uint32_t dir_count;
	uint32_t file_count;
	const char **path; /* by file: interned, NULL until dwarf_line_path() */
	uint64_t program;  /* offsets in .debug_line */
	uint64_t end;
	uint8_t instruction_length;
	int8_t line_base;
	uint8_t line_range;
	uint8_t opcode_base;
	uint8_t operands[256]; /* of the standard opcodes */
};

/* What the table says about one address. */
struct dwarf_row {
	uint64_t file; /* its number, for dwarf_line_path() */
	uint32_t line; /* 0: code of no line */
	bool is_known;
};

/* Reads the header of the unit's table.  False when there is none that can be read. */
bool dwarf_lines_open(struct dwarf_lines *t, const struct dwarf_unit *u, struct arena *a);

/* Runs the table's program past `count` ascending addresses; rows must be zeroed. */
bool dwarf_lines_run(const struct dwarf_lines *t, struct arena *a, const uint64_t *addr,
		     size_t count, struct dwarf_row *row);

/*
 * The path of file number `file`, absolute if the table allows, without "."
 * and "..", as valid UTF-8.  It is interned in `strings`; "" when there is no
 * such file.
 */
const char *dwarf_line_path(struct dwarf_lines *t, struct intern *strings, uint64_t file);

#endif
