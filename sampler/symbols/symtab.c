#include "sampler/symbols/symtab.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/symbols/patience.h"

#define BLOCK_SYMBOLS	   (65536 / sizeof(Elf64_Sym))
#define STRINGS_LOADED_MAX (1UL << 20)
#define RANKED_NAME_BYTES  256 /* a longer name is no worse than one of this length */
#define BUCKETS		   4096
#define SYMBOLS_MAX	   (1UL << 24) /* entries looked at in one table */
#define STEPS_MAX	   (1UL << 28) /* (symbol, address) pairs looked at */

static void load_strings(struct symtab *t, struct arena *a)
{
	char *strings;

	if (t->strings_size > STRINGS_LOADED_MAX)
		return;
	strings = arena_alloc(a, t->strings_size + 1);
	if (strings && elf_read(t->in, t->strings, strings, t->strings_size))
		t->loaded = strings;
}

bool symtab_open(struct symtab *t, struct arena *a, const struct elf *e, uint32_t type)
{
	const Elf64_Shdr *s = elf_section_of_type(e, type), *strings;

	memset(t, 0, sizeof(*t));
	if (!s || !elf_section_is_whole(e, s) || s->sh_link >= e->section_count)
		return false;
	strings = &e->section[s->sh_link];
	if (!elf_section_is_whole(e, strings))
		return false;
	t->in = &e->in;
	t->sections = e;
	t->symbols = s->sh_offset;
	t->count = MIN(s->sh_size / sizeof(Elf64_Sym), SYMBOLS_MAX);
	t->strings = strings->sh_offset;
	t->strings_size = strings->sh_size;
	load_strings(t, a);
	return t->count > 0;
}

static size_t read_string(const struct symtab *t, uint64_t offset, char *to, size_t size)
{
	uint64_t left = t->strings_size - offset;

	if (!t->loaded)
		return elf_read_some(t->in, t->strings + offset, to, MIN(size, left));
	size = MIN(size, left);
	memcpy(to, t->loaded + offset, size);
	return size;
}

/* Most names are short: a small read first, the whole only if that was not it. */
size_t symtab_string(const struct symtab *t, uint64_t offset, char *to, size_t size)
{
	size_t want = t->loaded ? size - 1 : MIN(size - 1, 200UL);
	size_t got = 0;

	if (offset >= t->strings_size)
		return 0;
	got = read_string(t, offset, to, want);
	if (got == want && want < size - 1 && !memchr(to, '\0', got))
		got = read_string(t, offset, to, size - 1);
	to[got] = '\0';
	return strlen(to);
}

bool symtab_symbol(const struct symtab *t, uint64_t index, Elf64_Sym *sym)
{
	return index < t->count &&
	       elf_read(t->in, t->symbols + index * sizeof(*sym), sym, sizeof(*sym));
}

/*
 * Addresses seldom repeat a 4096th of their span, so that a look-up begins a
 * step or two from its goal: bucket[b] is the first address of bucket b.
 */
static void fill_buckets(struct symtab_search *s)
{
	uint64_t span = s->addr[s->count - 1] - s->addr[0];
	size_t b = 0;

	while (span >> s->bucket_shift >= BUCKETS)
		s->bucket_shift++;
	for (size_t i = 0; i < s->count; i++)
		for (; b <= (s->addr[i] - s->addr[0]) >> s->bucket_shift; b++)
			s->bucket[b] = (uint32_t)i;
	for (; b <= BUCKETS; b++)
		s->bucket[b] = (uint32_t)s->count;
}

bool symtab_search_init(struct symtab_search *s, struct arena *a, const uint64_t *addr,
			size_t count)
{
	memset(s, 0, sizeof(*s));
	s->addr = addr;
	s->count = count;
	s->steps_left = STEPS_MAX;
	s->match = arena_array(a, count, sizeof(*s->match));
	s->near = arena_array(a, count, sizeof(*s->near));
	s->block = arena_array(a, BLOCK_SYMBOLS, sizeof(*s->block));
	s->bucket = arena_array(a, BUCKETS + 1, sizeof(*s->bucket));
	if (!s->match || !s->near || !s->block || !s->bucket || count > UINT32_MAX)
		return false;
	if (count)
		fill_buckets(s);
	return true;
}

/* The first address that is not below `value`; `count` when there is none. */
static size_t first_at_or_above(const struct symtab_search *s, uint64_t value)
{
	size_t low, high, b;

	if (value <= s->addr[0])
		return 0;
	b = (value - s->addr[0]) >> s->bucket_shift;
	if (b >= BUCKETS)
		return s->count;
	low = s->bucket[b];
	high = s->bucket[b + 1];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->addr[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_wanted_type(unsigned type)
{
	return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

static bool is_defined(const Elf64_Sym *sym)
{
	return sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS &&
	       sym->st_shndx != SHN_COMMON;
}

/* The section of a symbol, when it can be known. */
static const Elf64_Shdr *section_of(const struct symtab *t, const Elf64_Sym *sym)
{
	if (!t->sections || sym->st_shndx >= t->sections->section_count)
		return NULL;
	return &t->sections->section[sym->st_shndx];
}

static bool is_code(const struct symtab *t, const Elf64_Sym *sym)
{
	const Elf64_Shdr *s = section_of(t, sym);

	if (!is_wanted_type(ELF64_ST_TYPE(sym->st_info)) || !is_defined(sym) || sym->st_name == 0)
		return false;
	return s ? s->sh_flags & SHF_EXECINSTR : ELF64_ST_TYPE(sym->st_info) != STT_NOTYPE;
}

static uint64_t saturating_end(uint64_t start, uint64_t size)
{
	uint64_t end;

	return __builtin_add_overflow(start, size, &end) ? UINT64_MAX : end;
}

/* A symbol without size may reach to the end of its section. */
static uint64_t limit_of(const struct symtab *t, const Elf64_Sym *sym)
{
	const Elf64_Shdr *s = section_of(t, sym);

	if (sym->st_size)
		return saturating_end(sym->st_value, sym->st_size);
	return s ? saturating_end(s->sh_addr, s->sh_size) : UINT64_MAX;
}

static struct symtab_match match_of(const struct symtab *t, const Elf64_Sym *sym)
{
	return (struct symtab_match){
		.table = t,
		.start = sym->st_value,
		.limit = limit_of(t, sym),
		.name = sym->st_name,
		.binding = ELF64_ST_BIND(sym->st_info),
		.is_function = ELF64_ST_TYPE(sym->st_info) != STT_NOTYPE,
		.has_size = sym->st_size != 0,
	};
}

static unsigned leading_underscores(const char *name)
{
	static const char *const innocent[] = { "_Z", "_R", "__vdso_" };
	size_t n = strspn(name, "_");

	for (size_t i = 0; i < ARRAY_SIZE(innocent); i++)
		if (strncmp(name, innocent[i], strlen(innocent[i])) == 0)
			return 0;
	return (unsigned)MIN(n, 15UL);
}

static unsigned binding_rank(unsigned binding)
{
	return binding == STB_WEAK ? 1 : binding == STB_LOCAL ? 2 : 0;
}

static unsigned version_rank(const char *name)
{
	const char *at = strchr(name, '@');

	return !at ? 0 : at[1] == '@' ? 1 : 2;
}

/* Points 3 to 6 of the order, the most important in the highest bits; never 0. */
static uint32_t rank_of(const struct symtab_match *m)
{
	char name[RANKED_NAME_BYTES];
	size_t len = symtab_string(m->table, m->name, name, sizeof(name));

	if (len == 0)
		return UINT32_MAX;
	return leading_underscores(name) << 28 | binding_rank(m->binding) << 24 |
	       version_rank(name) << 20 | (uint32_t)len;
}

/* Names are read only when two symbols tie, which is rare. */
static uint32_t rank(struct symtab_search *s, struct symtab_match *m)
{
	if (m->rank == 0 && s->ranked.table == m->table && s->ranked.name == m->name)
		m->rank = s->ranked.rank;
	if (m->rank == 0) {
		m->rank = rank_of(m);
		s->ranked = *m;
	}
	return m->rank;
}

static bool is_better(struct symtab_search *s, struct symtab_match *a, struct symtab_match *b)
{
	if (!b->table)
		return true;
	if (a->is_function != b->is_function)
		return a->is_function;
	if (a->start != b->start)
		return a->start > b->start;
	return rank(s, a) < rank(s, b);
}

/* Gives the symbol every address that it covers and nothing better does. */
static void offer_to_covered(struct symtab_search *s, size_t i, struct symtab_match *m)
{
	for (; i < s->count && s->addr[i] < m->limit && s->steps_left; i++, s->steps_left--)
		if (is_better(s, m, &s->match[i]))
			s->match[i] = *m;
}

/*
 * Notes the symbol at the first address behind its start.  A sized one serves
 * as the border of one without size, so it wins among equals.
 */
static void note_nearest(struct symtab_search *s, size_t i, const struct symtab_match *m)
{
	struct symtab_match *near;

	if (i == s->count)
		return;
	near = &s->near[i];
	if (!near->table || m->start > near->start ||
	    (m->start == near->start && m->has_size && !near->has_size))
		*near = *m;
}

static void search_symbol(struct symtab_search *s, const struct symtab *t, const Elf64_Sym *sym)
{
	struct symtab_match m;
	size_t i;

	if (!is_code(t, sym))
		return;
	i = first_at_or_above(s, sym->st_value);
	m = match_of(t, sym);
	if (m.has_size)
		offer_to_covered(s, i, &m);
	note_nearest(s, i, &m);
}

void symtab_search_table(struct symtab_search *s, const struct symtab *t)
{
	for (uint64_t done = 0;
	     done < t->count && s->count && s->steps_left && !patience_is_over();) {
		size_t n = MIN(t->count - done, BLOCK_SYMBOLS);

		if (!elf_read(t->in, t->symbols + done * sizeof(Elf64_Sym), s->block,
			      n * sizeof(Elf64_Sym)))
			return;
		for (size_t i = 0; i < n; i++)
			search_symbol(s, t, &s->block[i]);
		done += n;
	}
}

/* Assembler labels (.L) and mapping symbols ($x) are no names for users. */
static bool is_label(const struct symtab_match *m)
{
	char name[4];
	size_t len = symtab_string(m->table, m->name, name, sizeof(name));

	return len == 0 || name[0] == '$' || (name[0] == '.' && name[1] == 'L');
}

void symtab_search_finish(struct symtab_search *s)
{
	struct symtab_match near = { 0 };

	for (size_t i = 0; i < s->count; i++) {
		if (s->near[i].table && (!near.table || s->near[i].start >= near.start))
			near = s->near[i];
		if (s->match[i].table || !near.table || near.has_size)
			continue;
		if (s->addr[i] < near.limit && !is_label(&near))
			s->match[i] = near;
	}
}
