/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Names for linker stubs: an address in a procedure linkage table belongs to
 * no symbol, but the stub's jump says through which slot it goes, and the
 * relocation of that slot says for which function.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_PLT_H
#define SAMPLER_SYMBOLS_PLT_H

#include "sampler/base/arena.h"
#include "sampler/symbols/elf.h"
#include "sampler/symbols/symtab.h"

/*
 * Fills match[i], with is_plt set, for each of the ascending addresses that
 * lies in a stub of `e` (.plt, .plt.sec, .plt.got) whose function is known.
 * `dynsym` is the dynamic symbol table of `e`.  Without memory it does nothing.
 *
 * A stub for a function inside the object that is chosen at start (an IFUNC)
 * gets a match without table that starts at the function that chooses; whoever
 * knows the symbols can name that.
 */
void plt_search(const struct elf *e, const struct symtab *dynsym, struct arena *scratch,
		const uint64_t *addr, size_t count, struct symtab_match *match);

#endif
