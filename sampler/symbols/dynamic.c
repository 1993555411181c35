#include "sampler/symbols/dynamic.h"

#include <elf.h>
#include <string.h>

#include "sampler/process/peek.h"

#define DYNAMIC_MAX 1024	/* entries looked at */
#define BUCKETS_MAX (1UL << 20) /* of a hash table */
#define CHAIN_MAX   (1UL << 20)

/*
 * glibc writes absolute addresses over those of libraries, but not over those
 * of the vdso; other loaders write nothing.
 */
static uint64_t runtime_address(const struct module *m, uint64_t value)
{
	return value >= m->image_start && value < m->image_limit ? value : value + m->bias;
}

static void note_entry(struct dynamic *d, const struct module *m, const Elf64_Dyn *entry)
{
	switch (entry->d_tag) {
	case DT_SYMTAB:
		d->symbols = runtime_address(m, entry->d_un.d_ptr);
		break;
	case DT_STRTAB:
		d->strings = runtime_address(m, entry->d_un.d_ptr);
		break;
	case DT_HASH:
		d->hash = runtime_address(m, entry->d_un.d_ptr);
		break;
	case DT_GNU_HASH:
		d->gnu_hash = runtime_address(m, entry->d_un.d_ptr);
		break;
	case DT_STRSZ:
		d->strings_size = entry->d_un.d_val;
		break;
	case DT_RELA:
		d->relocations = runtime_address(m, entry->d_un.d_ptr);
		break;
	case DT_RELASZ:
		d->relocations_size = entry->d_un.d_val;
		break;
	case DT_RELACOUNT:
		d->relative_count = entry->d_un.d_val;
		break;
	case DT_JMPREL:
		d->plt_relocations = runtime_address(m, entry->d_un.d_ptr);
		break;
	case DT_PLTRELSZ:
		d->plt_relocations_size = entry->d_un.d_val;
		break;
	}
}

bool dynamic_read(struct dynamic *d, const struct module *m)
{
	Elf64_Dyn entry;

	memset(d, 0, sizeof(*d));
	for (size_t i = 0; m->dynamic && i < DYNAMIC_MAX; i++) {
		if (!peek_cached(m->dynamic + i * sizeof(entry), &entry.d_tag, 8) ||
		    !peek_cached(m->dynamic + i * sizeof(entry) + 8, &entry.d_un, 8))
			return false;
		if (entry.d_tag == DT_NULL)
			break;
		note_entry(d, m, &entry);
	}
	return d->symbols && d->strings && d->strings_size;
}

static uint32_t word_at(uint64_t addr)
{
	uint32_t word;

	return peek_cached(addr, &word, sizeof(word)) ? word : 0;
}

/* The last chain ends with the last symbol: an entry whose low bit is set. */
static uint64_t end_of_chain(uint64_t chain, uint64_t first, uint64_t index)
{
	if (index < first)
		return first;
	for (uint64_t i = 0; i < CHAIN_MAX; i++)
		if (word_at(chain + (index - first + i) * 4) & 1)
			return index + i + 1;
	return 0;
}

/* A GNU hash table does not say how many symbols there are, but where the last chain begins. */
static uint64_t count_by_gnu_hash(uint64_t table)
{
	uint64_t bucket_count = word_at(table), first = word_at(table + 4);
	uint64_t buckets = table + 16 + (uint64_t)word_at(table + 8) * 8, last = 0;

	if (bucket_count > BUCKETS_MAX)
		return 0;
	for (uint64_t i = 0; i < bucket_count; i++) {
		uint64_t index = word_at(buckets + i * 4);

		last = index > last ? index : last;
	}
	return end_of_chain(buckets + bucket_count * 4, first, last);
}

uint64_t dynamic_count_symbols(const struct dynamic *d)
{
	if (d->hash)
		return word_at(d->hash + 4);
	return d->gnu_hash ? count_by_gnu_hash(d->gnu_hash) : 0;
}

/* A GNU hash table has the defined symbols only, and they are the last. */
uint64_t dynamic_count_undefined(const struct dynamic *d)
{
	return d->gnu_hash ? word_at(d->gnu_hash + 4) : dynamic_count_symbols(d);
}
