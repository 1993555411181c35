/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * What a loaded object imports: its slots, the words that the loader fills in with addresses
 * of functions of others.
 *
 * Context: init or hook, while the thread has the loader's lock (loader_lock.h).
 */
#ifndef SHIM_REAL_IMPORT_TABLE_H
#define SHIM_REAL_IMPORT_TABLE_H

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct import_table {
	uint64_t bias;
	const Elf64_Phdr *phdr;
	size_t phdr_count;
	const Elf64_Rela *calls, *all; /* DT_JMPREL, DT_RELA; NULL: there is none */
	size_t calls_bytes, all_bytes, relative_count;
	const Elf64_Sym *symbols;
	const char *strings;
	const uint16_t *versions;
	const char *needs;
};

struct import_slot {
	uint64_t *at;
	uint64_t now;
	uint64_t symbol;
	bool is_for_calls; /* alone, so that it may be filled in at the first */
};

/* False: the vdso, ourselves, or an object without tables. */
bool import_table_read(struct import_table *t, const struct dl_phdr_info *info);

/* Calls fn for each of its slots. */
void import_table_each(const struct import_table *t,
		       void (*fn)(const struct import_slot *s, void *arg), void *arg);

/* Nobody has called through the slot yet: it leads to the object's own stub. */
bool import_slot_is_unbound(const struct import_table *t, const struct import_slot *s);

const char *import_slot_name(const struct import_table *t, const struct import_slot *s);

/* The object has a definition of its own. */
bool import_slot_is_defined(const struct import_table *t, const struct import_slot *s);

/* The version that it asks for; NULL: any. */
const char *import_slot_version(const struct import_table *t, const struct import_slot *s);

#endif
