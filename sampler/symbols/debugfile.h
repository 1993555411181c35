/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The separate debug file of a stripped object, where distributions put it.
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DEBUGFILE_H
#define SAMPLER_SYMBOLS_DEBUGFILE_H

#include "sampler/base/arena.h"
#include "sampler/symbols/elf.h"

/*
 * Opens the debug file of `e`, which was found at `path`: by build id in
 * /usr/lib/debug/.build-id, else by the name in .gnu_debuglink beside the
 * object, in .debug there, or in the object's directory below /usr/lib/debug.
 * A file counts only if its build id, or where there is none its checksum, is
 * the one that the object asks for.
 */
bool debugfile_open(struct elf *d, struct arena *a, const struct elf *e, const char *path);

/* Opens the debug file with that build id. */
bool debugfile_open_by_id(struct elf *d, struct arena *a, const uint8_t *id, size_t len);

#endif
