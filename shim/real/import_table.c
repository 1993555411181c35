#include "shim/real/import_table.h"

#include <sys/auxv.h>

#include "sampler/arch/arch.h"

/* glibc relocates most of these pointers in place. */
static const void *pointer(const struct import_table *t, const Elf64_Dyn *d)
{
	return (const void *)(d->d_un.d_ptr < t->bias ? t->bias + d->d_un.d_ptr : d->d_un.d_ptr);
}

static void read_entry(struct import_table *t, const Elf64_Dyn *d)
{
	switch (d->d_tag) {
	case DT_JMPREL:
		t->calls = pointer(t, d);
		break;
	case DT_PLTRELSZ:
		t->calls_bytes = d->d_un.d_val;
		break;
	case DT_RELA:
		t->all = pointer(t, d);
		break;
	case DT_RELASZ:
		t->all_bytes = d->d_un.d_val;
		break;
	case DT_RELACOUNT:
		t->relative_count = d->d_un.d_val;
		break;
	case DT_SYMTAB:
		t->symbols = pointer(t, d);
		break;
	case DT_STRTAB:
		t->strings = pointer(t, d);
		break;
	case DT_VERSYM:
		t->versions = pointer(t, d);
		break;
	case DT_VERNEED:
		t->needs = pointer(t, d);
		break;
	}
}

bool import_table_read(struct import_table *t, const struct dl_phdr_info *info)
{
	const Elf64_Dyn *d = NULL;

	*t = (struct import_table){ .bias = info->dlpi_addr,
				    .phdr = info->dlpi_phdr,
				    .phdr_count = info->dlpi_phnum };
	for (size_t i = 0; i < t->phdr_count; i++)
		if (t->phdr[i].p_type == PT_DYNAMIC)
			d = (const Elf64_Dyn *)(t->bias + t->phdr[i].p_vaddr);
	if (!d || d == _DYNAMIC || (t->bias && t->bias == getauxval(AT_SYSINFO_EHDR)))
		return false;
	for (; d->d_tag != DT_NULL; d++)
		read_entry(t, d);
	return t->symbols && t->strings;
}

static void each_in(const struct import_table *t, const Elf64_Rela *r, const Elf64_Rela *end,
		    void (*fn)(const struct import_slot *s, void *arg), void *arg)
{
	for (; r < end; r++) {
		uint64_t type = ELF64_R_TYPE(r->r_info);
		struct import_slot s = { .at = (uint64_t *)(t->bias + r->r_offset),
					 .symbol = ELF64_R_SYM(r->r_info),
					 .is_for_calls = type == ARCH_R_JUMP_SLOT };

		if ((type != ARCH_R_JUMP_SLOT && type != ARCH_R_GLOB_DAT) ||
		    (uint64_t)s.at % sizeof(*s.at))
			continue;
		s.now = __atomic_load_n(s.at, __ATOMIC_RELAXED);
		fn(&s, arg);
	}
}

/* The relative ones, which come first, have no symbol. */
void import_table_each(const struct import_table *t,
		       void (*fn)(const struct import_slot *s, void *arg), void *arg)
{
	size_t count = t->all_bytes / sizeof(*t->all);

	if (t->calls)
		each_in(t, t->calls, t->calls + t->calls_bytes / sizeof(*t->calls), fn, arg);
	if (t->all && count > t->relative_count)
		each_in(t, t->all + t->relative_count, t->all + count, fn, arg);
}

bool import_slot_is_unbound(const struct import_table *t, const struct import_slot *s)
{
	for (size_t i = 0; s->is_for_calls && i < t->phdr_count; i++)
		if (t->phdr[i].p_type == PT_LOAD && t->phdr[i].p_flags & PF_X &&
		    s->now - t->bias - t->phdr[i].p_vaddr < t->phdr[i].p_memsz)
			return true;
	return false;
}

const char *import_slot_name(const struct import_table *t, const struct import_slot *s)
{
	return t->strings + t->symbols[s->symbol].st_name;
}

bool import_slot_is_defined(const struct import_table *t, const struct import_slot *s)
{
	return t->symbols[s->symbol].st_shndx != SHN_UNDEF;
}

static const char *find_version(const struct import_table *t, const Elf64_Verneed *need,
				unsigned index)
{
	const char *at = (const char *)need + need->vn_aux;

	for (unsigned i = 0; i < need->vn_cnt; i++) {
		const Elf64_Vernaux *aux = (const Elf64_Vernaux *)at;

		if (aux->vna_other == index)
			return t->strings + aux->vna_name;
		at += aux->vna_next;
	}
	return NULL;
}

const char *import_slot_version(const struct import_table *t, const struct import_slot *s)
{
	unsigned index = t->versions ? t->versions[s->symbol] & 0x7fff : 0;
	const char *at = index > VER_NDX_GLOBAL ? t->needs : NULL;

	while (at) {
		const Elf64_Verneed *need = (const Elf64_Verneed *)at;
		const char *found = find_version(t, need, index);

		if (found)
			return found;
		at = need->vn_next ? at + need->vn_next : NULL;
	}
	return NULL;
}
