/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The files that describe one module: its own, its separate debug file, and where
 * that has no symbol table, the compressed one in .gnu_debugdata (Fedora, RHEL).
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_OBJECTS_H
#define SAMPLER_SYMBOLS_OBJECTS_H

#include <stdbool.h>

#include "sampler/base/arena.h"
#include "sampler/process/modules.h"
#include "sampler/symbols/elf.h"

struct objects {
	struct elf file; /* the vdso's is its image in memory */
	struct elf debug;
	struct elf mini; /* .gnu_debugdata, unpacked: the symbols that are not in .dynsym */
	struct arena unpacked;
	bool has_file;
	bool has_debug;
	bool wants_mini; /* no other table has all symbols: objects_open_mini() may help */
	bool has_mini;
};

/*
 * Opens what there is and is proven to belong to `m`.  A file that is not
 * counts in symbol_files_refused.  Tables come from `a`.
 */
void objects_open(struct objects *o, struct arena *a, const struct module *m);

/*
 * Unpacks .gnu_debugdata of a file that wants it, once; what cannot be unpacked counts in
 * symbol_tables_refused.
 */
void objects_open_mini(struct objects *o);

/* Where the module's .eh_frame is in memory, by its file. */
bool objects_find_eh_frame(const struct module *m, uint64_t *start, uint64_t *limit);

void objects_close(struct objects *o);

#endif
