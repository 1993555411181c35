/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Unwind rows: for one look-up address, where the caller's frame is.  Learned
 * by learn.c, kept in one table keyed by address.
 *
 * One writer (the listener), any number of lock-free readers: a reader checks
 * the key again after it has read the row, so a row replaced under it is
 * simply not found (docs/PROTOCOLS.md, "Rows").
 */
#ifndef SAMPLER_UNWIND_ROWS_H
#define SAMPLER_UNWIND_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#define ROWS_MAX 65536 /* 1 MiB of table; a big C++ server shows about 10,000 addresses */

enum row_kind {
	ROW_UNKNOWN, /* not in the table */
	ROW_SP,	     /* CFA = SP + cfa_offset */
	ROW_BP,	     /* CFA = BP + cfa_offset */
	ROW_END,     /* outermost frame: the return address is undefined */
	ROW_COMPLEX, /* needs more than SP and BP: libunwind steps on the captured copy */
	ROW_SIGNAL,  /* the same, and the frame beyond was interrupted, not calling */
	ROW_NONE,    /* no unwind data covers the address */
};

/*
 * The return address is at arch_return_slot(CFA).  Offsets are in bytes and less than
 * 256 MiB either way.  All in one register: a walk is a chain of rows, each of
 * which waits for the one before.
 */
struct row {
	uint64_t kind : 4;     /* enum row_kind */
	uint64_t bp_saved : 1; /* caller's BP is at CFA + bp_offset; else BP is unchanged */
	int64_t cfa_offset : 29;
	int64_t bp_offset : 29;
};

/* A row, and the number of its module if that may be unloaded, else 0.  Both in registers. */
struct row_found {
	struct row row;
	uint64_t number;
};

/* The row for `pc`, or one of kind ROW_UNKNOWN.  Context: listener, hook.  Lock-free. */
struct row_found rows_find_in(uint64_t pc);
struct row rows_find(uint64_t pc);

/*
 * Adds or replaces a row; `number` is that of the module if it may be unloaded, else 0.  A
 * full table drops it (rows_dropped_table_full).  Context: listener.
 */
void rows_add_in(uint64_t pc, uint32_t number, struct row row);
void rows_add(uint64_t pc, struct row row);

/* Forgets every row of [start, limit): its module went.  Context: listener. */
bool rows_forget(uint64_t start, uint64_t limit);

/* Rows in the table.  Context: tests. */
uint32_t rows_count(void);

/* Forgets every row and gives the memory back; readers may be inside.  Context: listener. */
void rows_release(void);

/*
 * NULL, or what is wrong with the table in use, in words.  While the listener is not in
 * here.  Context: tests.
 */
const char *rows_check(void);

#endif
