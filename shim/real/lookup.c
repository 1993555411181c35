#include "shim/real/lookup.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

/* Set in a version index: not the default version. */
#define VERSYM_HIDDEN 0x8000

struct object {
	uint64_t bias;
	const Elf64_Sym *symbols;
	const char *strings;
	const uint32_t *gnu_hash, *sysv_hash;
	const uint16_t *versions;
	const Elf64_Verdef *version_names;
	const char
		*version; /* one whose symbols count, too, when they are not the default; or NULL */
	bool is_exact;	  /* no others do */
};

/* glibc relocates these pointers in place; some objects (the vdso) are read-only. */
static const void *pointer(const struct link_map *l, uint64_t value)
{
	return (const void *)(value < l->l_addr ? l->l_addr + value : value);
}

static void read_dynamic(const struct link_map *l, struct object *o)
{
	*o = (struct object){ .bias = l->l_addr };
	for (const Elf64_Dyn *d = l->l_ld; d->d_tag != DT_NULL; d++) {
		const void *p = pointer(l, d->d_un.d_ptr);

		if (d->d_tag == DT_SYMTAB)
			o->symbols = p;
		else if (d->d_tag == DT_STRTAB)
			o->strings = p;
		else if (d->d_tag == DT_GNU_HASH)
			o->gnu_hash = p;
		else if (d->d_tag == DT_HASH)
			o->sysv_hash = p;
		else if (d->d_tag == DT_VERSYM)
			o->versions = p;
		else if (d->d_tag == DT_VERDEF)
			o->version_names = p;
	}
}

/* NULL: the symbol has none. */
static const char *version_of(const struct object *o, uint32_t i)
{
	const char *v = (const char *)o->version_names;

	while (v && o->versions) {
		const Elf64_Verdef *def = (const Elf64_Verdef *)v;

		if (def->vd_ndx == (o->versions[i] & ~VERSYM_HIDDEN) &&
		    !(def->vd_flags & VER_FLG_BASE))
			return o->strings + ((const Elf64_Verdaux *)(v + def->vd_aux))->vda_name;
		v = def->vd_next ? v + def->vd_next : NULL;
	}
	return NULL;
}

/* strcmp() cannot be called before we are relocated. */
static bool is_name(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static bool is_wanted(const struct object *o, uint32_t i)
{
	const char *version;

	if (!o->is_exact && (!o->versions || !(o->versions[i] & VERSYM_HIDDEN)))
		return true;
	version = o->version ? version_of(o, i) : NULL;
	return version && is_name(version, o->version);
}

static bool is_match(const struct object *o, uint32_t i, const char *name)
{
	const Elf64_Sym *s = &o->symbols[i];

	return s->st_shndx != SHN_UNDEF && is_name(o->strings + s->st_name, name) &&
	       is_wanted(o, i);
}

/* djb2, as the GNU hash section is defined. */
static uint32_t gnu_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

/* Layout: bucket count, first symbol, bloom words (8 bytes each), shift; bloom, buckets, chain. */
static uint32_t find_gnu(const struct object *o, const char *name)
{
	const uint32_t *h = o->gnu_hash;
	const uint32_t *buckets = h + 4 + h[2] * 2, *chain = buckets + h[0];
	uint32_t hash = gnu_hash(name);
	uint32_t i = h[0] ? buckets[hash % h[0]] : 0;

	for (; i >= h[1] && i; i++) {
		uint32_t entry = chain[i - h[1]];

		if ((entry | 1) == (hash | 1) && is_match(o, i, name))
			return i;
		if (entry & 1)
			break;
	}
	return 0;
}

/* The second word of the old hash section is the number of symbols. */
static uint32_t find_sysv(const struct object *o, const char *name)
{
	for (uint32_t i = 1; i < o->sysv_hash[1]; i++) {
		if (is_match(o, i, name))
			return i;
	}
	return 0;
}

static uint32_t find(const struct object *o, const char *name)
{
	if (!o->symbols || !o->strings)
		return 0;
	if (o->gnu_hash)
		return find_gnu(o, name);
	return o->sysv_hash ? find_sysv(o, name) : 0;
}

static void *address_of(const struct object *o, uint32_t i)
{
	const Elf64_Sym *s = &o->symbols[i];
	uint64_t at = o->bias + s->st_value;

	if (ELF64_ST_TYPE(s->st_info) == STT_GNU_IFUNC)
		return ((void *(*)(void))at)();
	return (void *)at;
}

/* Our own dynamic section (_DYNAMIC, in <link.h>) is how we know ourselves in the loader's list. */
static bool from_first;

void lookup_from_first(void)
{
	from_first = true;
}

static const struct link_map *after_ours(void)
{
	const struct link_map *l = _r_debug.r_map;

	if (from_first)
		return l;
	while (l && l->l_ld != _DYNAMIC)
		l = l->l_next;
	return l ? l->l_next : NULL;
}

/*
 * The vdso is in the list, but the loader itself never looks there; nor do we look in
 * ourselves when we look from the first on.
 */
static uint32_t find_in(const struct link_map *l, struct object *o, const char *name,
			const char *version)
{
	if (l->l_addr && l->l_addr == getauxval(AT_SYSINFO_EHDR))
		return 0;
	if (from_first && l->l_ld == _DYNAMIC)
		return 0;
	read_dynamic(l, o);
	o->version = version;
	return find(o, name);
}

/* The first object, from `l` on, that has the name by default or with this version. */
static const struct link_map *find_from(const struct link_map *l, const char *name,
					const char *version, struct object *o, uint32_t *i)
{
	while (l && !(*i = find_in(l, o, name, version)))
		l = l->l_next;
	return l;
}

/*
 * A program asks for the name with the version that libc had when it was linked, which
 * is the default one of the object that has one.  One that comes before that object may
 * have the same version for old programs only, as libc_malloc_debug.so has.
 */
static const char *version_that_programs_have(const char *name)
{
	struct object o;
	uint32_t i;

	return find_from(after_ours(), name, NULL, &o, &i) ? version_of(&o, i) : NULL;
}

bool lookup_comes_earlier(const char *name)
{
	const char *version = version_that_programs_have(name);

	if (from_first)
		return false;
	for (const struct link_map *l = _r_debug.r_map; l && l->l_ld != _DYNAMIC; l = l->l_next) {
		struct object o;

		if (find_in(l, &o, name, version))
			return true;
	}
	return false;
}

bool lookup_program_defines(const char *name)
{
	struct object o;

	return from_first && find_in(_r_debug.r_map, &o, name, version_that_programs_have(name));
}

/* The next definition: its object, with its index there; NULL for none. */
static const struct link_map *find_next(const char *name, struct object *o, uint32_t *i)
{
	const struct link_map *by_default = find_from(after_ours(), name, NULL, o, i);
	const char *version = by_default ? version_of(o, *i) : NULL;

	return version ? find_from(after_ours(), name, version, o, i) : by_default;
}

void *lookup_next(const char *name)
{
	struct object o;
	uint32_t i;

	return find_next(name, &o, &i) ? address_of(&o, i) : NULL;
}

/* ---- before we are relocated */

/* The kernel's words for the program; getauxval() cannot be called. */
static bool read_auxv(Elf64_auxv_t *to, size_t bytes)
{
	long fd = sys_call4(SYS_openat, AT_FDCWD, (long)"/proc/self/auxv", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? fd : sys_call3(SYS_read, fd, (long)to, (long)bytes);

	if (fd >= 0)
		sys_call3(SYS_close, fd, 0, 0);
	return n > 0;
}

static uint64_t auxv_value(const Elf64_auxv_t *v, uint64_t type)
{
	while (v->a_type != AT_NULL && v->a_type != type)
		v++;
	return v->a_type == type ? v->a_un.a_val : 0;
}

static const Elf64_Dyn *dynamic_of(const Elf64_Ehdr *e)
{
	const Elf64_Phdr *phdr = (const void *)((const char *)e + e->e_phoff);

	for (int i = 0; i < e->e_phnum; i++)
		if (phdr[i].p_type == PT_DYNAMIC)
			return (const void *)((const char *)e + phdr[i].p_vaddr);
	return NULL;
}

/* The loader's image: where it was started as the program, that is what the kernel knows. */
static const Elf64_Ehdr *loader_early(void)
{
	static Elf64_auxv_t v[64]; /* there is one thread, and its stack is the program's */
	uint64_t base;

	if (!read_auxv(v, sizeof(v) - sizeof(*v)))
		return NULL;
	v[ARRAY_SIZE(v) - 1].a_type = AT_NULL;
	base = auxv_value(v, AT_BASE);
	return (const void *)(base ? base : ALIGN_DOWN(auxv_value(v, AT_PHDR), PAGE_BYTES));
}

/* _r_debug, by the loader's own symbols: our reference to it is not filled in yet. */
static const struct link_map *list_early(void)
{
	const Elf64_Ehdr *e = loader_early();
	struct link_map l = { .l_addr = (uint64_t)e,
			      .l_ld = (Elf64_Dyn *)(uintptr_t)(e ? dynamic_of(e) : NULL) };
	struct object o;
	uint32_t i;

	if (!l.l_ld)
		return NULL;
	read_dynamic(&l, &o);
	i = find(&o, "_r_debug");
	return i ? ((const struct r_debug *)address_of(&o, i))->r_map : NULL;
}

/* Where our file is mapped, which is known without a relocation. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

void *lookup_next_early(const char *name)
{
	const struct link_map *l = list_early();

	while (l && l->l_addr != (uint64_t)__ehdr_start)
		l = l->l_next;
	for (l = l ? l->l_next : NULL; l; l = l->l_next) {
		struct object o;
		uint32_t i;

		read_dynamic(l, &o);
		i = find(&o, name);
		if (i)
			return address_of(&o, i);
	}
	return NULL;
}

bool lookup_defines(const struct link_map *in, const char *name)
{
	struct object o;

	return find_in(in, &o, name, NULL) != 0;
}

void *lookup_version(const struct link_map *in, const char *name, const char *version)
{
	struct object o;
	uint32_t i;

	read_dynamic(in, &o);
	o.version = version;
	o.is_exact = true;
	i = find(&o, name);
	return i ? address_of(&o, i) : NULL;
}

bool lookup_find_next(const char *name, struct lookup_found *out)
{
	struct object o;
	uint32_t i;
	const struct link_map *in = find_next(name, &o, &i);

	if (!in)
		return false;
	*out = (struct lookup_found){ .at = address_of(&o, i),
				      .size = o.symbols[i].st_size,
				      .in = in,
				      .is_libc = lookup_defines(in, "__libc_start_main"),
				      .version = version_of(&o, i) };
	return true;
}

/* The pages of the symbol table have no code: a good deal lies between them in our file. */
static bool protect(const Elf64_Sym *first, const Elf64_Sym *last, int how)
{
	uintptr_t from = ALIGN_DOWN((uintptr_t)first, PAGE_BYTES);
	uintptr_t to = ALIGN_UP((uintptr_t)(last + 1), PAGE_BYTES);

	return sys_call3(SYS_mprotect, (long)from, (long)(to - from), how) == 0;
}

/* Kept: the constructor asks while the list is at rest, and later it may not be. */
const struct link_map *lookup_own_entry(void)
{
	static const struct link_map *us;
	const struct link_map *l = us ? us : _r_debug.r_map;

	while (l && l->l_ld != _DYNAMIC)
		l = l->l_next;
	us = l;
	return l;
}

const char *lookup_own_name(void)
{
	const struct link_map *l = lookup_own_entry();

	return l ? l->l_name : "";
}

/* Of our own; writable only between two calls of protect().  Not found: the first, which says
 * nothing. */
static Elf64_Sym *own_symbol(const struct link_map *us, const char *name)
{
	struct object o = { 0 };
	uint32_t i = find_in(us, &o, name, NULL);

	return (Elf64_Sym *)(uintptr_t)&o.symbols[i];
}

/* A symbol without a value is passed over by every loader. */
void lookup_hide(const char *const *names, size_t count)
{
	const struct link_map *us = lookup_own_entry();
	Elf64_Sym *first, *last;

	if (!us)
		return; /* nobody is bound to us there */
	first = last = own_symbol(us, "");
	for (size_t i = 0; i < count; i++)
		last = MAX(last, own_symbol(us, names[i]));
	if (!protect(first, last, PROT_READ | PROT_WRITE))
		return;
	for (size_t i = 0; i < count; i++)
		own_symbol(us, names[i])->st_value = 0;
	protect(first, last, PROT_READ);
}

bool lookup_has_object(const char *part)
{
	for (const struct link_map *l = _r_debug.r_map; l; l = l->l_next) {
		if (strstr(l->l_name, part))
			return true;
	}
	return false;
}

void *lookup_vdso(const char *name)
{
	uint64_t start = getauxval(AT_SYSINFO_EHDR);
	const struct link_map *l = start ? _r_debug.r_map : NULL;
	struct object o;
	uint32_t i;

	while (l && l->l_addr != start)
		l = l->l_next;
	if (!l)
		return NULL;
	read_dynamic(l, &o);
	i = find(&o, name);
	return i ? address_of(&o, i) : NULL;
}
