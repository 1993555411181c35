/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The file to which `dwz -m` moved what the debug information of several objects has in
 * common: distributions do so with all programs of a package.  .gnu_debugaltlink names it,
 * or in DWARF 5 .debug_sup.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_SHAREDFILE_H
#define SAMPLER_SYMBOLS_SHAREDFILE_H

#include "sampler/base/arena.h"
#include "sampler/symbols/elf.h"

enum sharedfile {
	SHAREDFILE_NONE, /* `e` refers to none */
	SHAREDFILE_MISSING,
	SHAREDFILE_OPEN,
};

/*
 * Opens the one that `e` refers to: by its path, which may be relative to that of `e`, else
 * by build id.  It counts only if its build id or checksum is the one that `e` asks for.
 */
enum sharedfile sharedfile_open(struct elf *d, struct arena *a, const struct elf *e);

#endif
