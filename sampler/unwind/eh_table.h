/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Search tables for objects that have unwind data (.eh_frame) and no table to
 * search it with: linked with --no-eh-frame-hdr, or with a header whose table the
 * linker left out.  The entries are read once, in the order in which they lie, and
 * sorted; the table is ours and has the form of the linker's.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_EH_TABLE_H
#define SAMPLER_UNWIND_EH_TABLE_H

#include <stdbool.h>

#include "sampler/arch/unwinder.h"
#include "sampler/process/module.h"

/*
 * Where a module's .eh_frame is in memory, by its file; false when that cannot be
 * known.  Who can read files (sampler/symbols) is handed down.  Context: init.
 */
typedef bool eh_frame_finder(const struct module *m, uint64_t *start, uint64_t *limit);
void eh_table_set_finder(eh_frame_finder *find);

/*
 * Describes the table of `m` for libunwind's search, making it if need be; `as` and
 * `arg` lead to accessors that read the module.  False when it has none.
 */
bool eh_table_describe(const struct module *m, unw_addr_space_t as, void *arg, unw_dyn_info_t *di);

/* Reads a word of one of these tables; false when `addr` is in none. */
bool eh_table_read(uint64_t addr, unw_word_t *out);

/* Tables of objects in that range are gone. */
void eh_table_forget(uint64_t start, uint64_t limit);

/* Gives all memory back until it is needed again. */
void eh_table_release(void);

/* The tables are not there.  Context: child. */
void eh_table_after_fork(void);

#endif
