/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The files that describe one module: its own, and its separate debug file.
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
	bool has_file;
	bool has_debug;
};

/*
 * Opens what there is and is proven to belong to `m`.  A file that is not
 * counts in symbol_files_refused.  Tables come from `a`.
 */
void objects_open(struct objects *o, struct arena *a, const struct module *m);

void objects_close(struct objects *o);

#endif
