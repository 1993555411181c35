/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The dynamic section of a loaded object, from memory: where its symbols, strings and
 * relocations are.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DYNAMIC_H
#define SAMPLER_SYMBOLS_DYNAMIC_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/module.h"

/* Runtime addresses and sizes in bytes of the tables; 0 where the object has none. */
struct dynamic {
	uint64_t symbols, strings, strings_size, hash, gnu_hash;
	uint64_t relocations, relocations_size; /* Elf64_Rela, except those of the next table */
	uint64_t relative_count;		/* of the first ones, which name no symbol */
	uint64_t plt_relocations, plt_relocations_size;
};

/* False: it is unreadable, or there is no symbol table. */
bool dynamic_read(struct dynamic *d, const struct module *m);

/* How many symbols there are; 0: not known. */
uint64_t dynamic_count_symbols(const struct dynamic *d);

/* Undefined symbols are among as many first ones; 0: not known. */
uint64_t dynamic_count_undefined(const struct dynamic *d);

#endif
