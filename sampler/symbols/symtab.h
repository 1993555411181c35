/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Which symbol covers an address, for many addresses at once: the tables are
 * streamed past the sorted addresses, in blocks, so that memory depends on the
 * number of addresses and not on the size of the tables.
 *
 * Several symbols may cover one address.  The winner is, in this order:
 *
 *   1. a function with a size; then an untyped symbol with a size; only when
 *      nothing covers the address, a symbol without size, which then reaches
 *      to the next symbol or to the end of its section;
 *   2. the one that starts last, being the most specific;
 *   3. the name with the fewest leading underscores, so that users read
 *      `malloc` and `poll`, not `__libc_malloc` and `__GI___poll`.  Prefixes
 *      of mangled names (_Z, _R) and `__vdso_` do not count as underscores;
 *   4. global before weak before local;
 *   5. no symbol version, then the default version (@@), then old ones (@);
 *   6. the shorter name; at last, the one that came first.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_SYMTAB_H
#define SAMPLER_SYMBOLS_SYMTAB_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/elf.h"

/* One symbol table and its strings.  `in` and `sections` are borrowed. */
struct symtab {
	const struct elf_reader *in;
	const struct elf *sections; /* tells code from data; NULL: unknown */
	uint64_t symbols;	    /* offset of entry 0 */
	uint64_t count;
	uint64_t strings; /* offset */
	uint64_t strings_size;
	const char *loaded; /* the strings, ended with NUL, when they are few; else NULL */
};

/*
 * The table of type SHT_SYMTAB or SHT_DYNSYM in `e`.  False when there is none
 * whose bytes are in the file.  `a` holds strings that are worth loading.
 */
bool symtab_open(struct symtab *t, struct arena *a, const struct elf *e, uint32_t type);

/*
 * The dynamic symbol table of `m` in memory, for when there is no file.  `in`
 * is set up to read it and must live as long as `t`.
 */
bool symtab_open_memory(struct symtab *t, struct elf_reader *in, const struct module *m);

/*
 * Copies the string at `offset` and ends it with NUL, cutting it at size - 1.
 * Returns its length; 0 when it is unreadable.
 */
size_t symtab_string(const struct symtab *t, uint64_t offset, char *to, size_t size);

/* Reads symbol number `index`. */
bool symtab_symbol(const struct symtab *t, uint64_t index, Elf64_Sym *sym);

/* What covers one address.  `table` is NULL when nothing does. */
struct symtab_match {
	const struct symtab *table;
	uint64_t start; /* first and last-plus-one address of the symbol */
	uint64_t limit;
	uint32_t name; /* offset in the strings of `table` */
	uint32_t rank; /* of the name, less is better; 0: not looked at yet */
	uint8_t binding;
	bool is_function;
	bool has_size;
	bool is_plt; /* a stub that jumps to the symbol, not the symbol itself */
};

/* Addresses as in the file (without load bias), ascending. */
struct symtab_search {
	const uint64_t *addr;
	size_t count;
	struct symtab_match *match; /* by address */
	struct symtab_match *near;  /* by address: the last symbol to start before it */
	Elf64_Sym *block;
	uint32_t *bucket; /* where to begin looking for an address */
	unsigned bucket_shift;
	uint64_t steps_left;	    /* bounds what a hostile table may cost */
	struct symtab_match ranked; /* last, because neighbours are in the same function */
};

/* `addr` is borrowed.  False when memory ran out. */
bool symtab_search_init(struct symtab_search *s, struct arena *a, const uint64_t *addr,
			size_t count);

/* Adds a table; it must outlive the search. */
void symtab_search_table(struct symtab_search *s, const struct symtab *t);

/* After the last table: symbols without size take what nothing covers. */
void symtab_search_finish(struct symtab_search *s);

#endif
