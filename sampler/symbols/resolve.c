/*
 * Finds the symbol of each address, makes names of them, and refines them by
 * lines where that is asked for and possible.
 */
#include "sampler/symbols/resolve.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/intern.h"
#include "sampler/base/sort.h"
#include "sampler/base/text.h"
#include "sampler/base/utf8.h"
#include "sampler/process/mapped_file.h"
#include "sampler/process/started_as.h"
#include "sampler/symbols/demangle.h"
#include "sampler/symbols/lines.h"
#include "sampler/symbols/plt.h"
#include "sampler/symbols/symtab.h"

#define TABLES 4

/* One slice of a call. */
struct batch {
	struct arena *out;
	struct arena scratch; /* for the whole slice */
	struct arena tables;  /* for the search for names */
	const struct module *m;
	const struct objects *objects;
	struct elf_reader memory; /* of the dynamic symbol table, when there is no file */
	struct symtab table[TABLES];
	size_t table_count;
	const uint64_t *addr; /* as in the file: without the load bias */
	size_t count;
	struct symtab_search search;
	struct intern strings;
	const char *unknown; /* "[libfoo.so]" */
	struct symbol *symbol;
};

static void add_table(struct batch *b, bool opened)
{
	if (opened)
		symtab_search_table(&b->search, &b->table[b->table_count++]);
}

static void add_table_of(struct batch *b, const struct elf *e, uint32_t type)
{
	add_table(b, symtab_open(&b->table[b->table_count], &b->tables, e, type));
}

/* The stubs of which only the choosing function is known, by the address of that. */
static size_t list_choosers(struct batch *b, struct sort_pair *chooser)
{
	size_t n = 0;

	for (size_t i = 0; i < b->count; i++)
		if (!b->search.match[i].table && b->search.match[i].is_plt)
			chooser[n++] =
				(struct sort_pair){ .key = b->search.match[i].start, .value = i };
	sort_pairs(chooser, n);
	return n;
}

static void name_choosers(struct batch *b, const struct sort_pair *chooser, size_t count)
{
	uint64_t *addr = arena_array(&b->tables, count, sizeof(*addr));
	struct symtab_search search;

	for (size_t i = 0; addr && i < count; i++)
		addr[i] = chooser[i].key;
	if (!addr || !symtab_search_init(&search, &b->tables, addr, count))
		return;
	for (size_t i = 0; i < b->table_count; i++)
		symtab_search_table(&search, &b->table[i]);
	for (size_t i = 0; i < count; i++) {
		b->search.match[chooser[i].value] = search.match[i];
		b->search.match[chooser[i].value].is_plt = search.match[i].table;
	}
}

/* Last, because stubs beat what merely reaches over them. */
static void search_stubs(struct batch *b)
{
	struct symtab *dynsym = arena_alloc(&b->tables, sizeof(*dynsym));
	struct sort_pair *chooser = arena_array(&b->tables, b->count, sizeof(*chooser));
	size_t n;

	if (!chooser || !dynsym || !symtab_open(dynsym, &b->tables, &b->objects->file, SHT_DYNSYM))
		return;
	plt_search(&b->objects->file, dynsym, &b->tables, b->addr, b->count, b->search.match);
	n = list_choosers(b, chooser);
	if (n)
		name_choosers(b, chooser, n);
}

static uint64_t symbol_count(const struct elf *e, uint32_t type)
{
	const Elf64_Shdr *s = elf_section_of_type(e, type);

	return s ? s->sh_size : 0;
}

/*
 * Of a stripped file, the debug file has the local symbols and the file the
 * exported ones.  A table of all symbols has the exported ones too.
 */
static void search_files(struct batch *b)
{
	const struct elf *file = &b->objects->file;

	add_table_of(b, file, SHT_SYMTAB);
	if (b->objects->has_debug)
		add_table_of(b, &b->objects->debug, SHT_SYMTAB);
	if (b->objects->has_mini)
		add_table_of(b, &b->objects->mini, SHT_SYMTAB);
	if (symbol_count(file, SHT_SYMTAB) < symbol_count(file, SHT_DYNSYM))
		add_table_of(b, file, SHT_DYNSYM);
}

/* Of a module that is gone, the addresses may hold another by now. */
static void search_memory(struct batch *b)
{
	if (b->m->is_loaded)
		add_table(b, symtab_open_memory(&b->table[b->table_count], &b->memory, b->m));
}

static bool search_names(struct batch *b)
{
	if (!symtab_search_init(&b->search, &b->tables, b->addr, b->count))
		return false;
	if (b->objects->has_file)
		search_files(b);
	if (b->table_count == 0)
		search_memory(b);
	symtab_search_finish(&b->search);
	if (b->objects->has_file)
		search_stubs(b);
	return true;
}

static bool is_same(const struct symtab_match *a, const struct symtab_match *b)
{
	return a->table == b->table && a->name == b->name && a->is_plt == b->is_plt;
}

static bool is_in_versions(char c)
{
	char lower = (char)(c | 0x20);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c && strchr("_.+-", c));
}

/* The last '@' may begin a version, or stand inside a name: Crystal's *Shape(Int32)@Shape(T)#area.
 */
static char *find_version(char *name)
{
	char *at = *name ? strrchr(name + 1, '@') : NULL;
	const char *s = at ? at + 1 : "";

	while (is_in_versions(*s))
		s++;
	if (!at || *s || s == at + 1)
		return NULL;
	return at > name + 1 && at[-1] == '@' ? at - 1 : at;
}

#define NAME_READ_MAX (1UL << 20) /* of a name, for its hash */

/* Of a name that is too long for `to`, the end becomes a hash of all of it. */
static void end_by_hash(const struct symtab_match *m, char *to, size_t size)
{
	struct text t = { .at = to, .len = size - 1 - 18, .size = size };
	char piece[512];
	uint64_t h = TEXT_HASH_INIT;
	size_t n, done = 0;

	for (; done < NAME_READ_MAX &&
	       (n = symtab_string(m->table, m->name + done, piece, sizeof(piece)));
	     done += n)
		h = text_hash_more(h, piece, n);
	text_str(&t, "#");
	text_hex(&t, h);
}

/* Reads a symbol's name without its version (@GLIBC_2.34), with room for "@plt". */
static size_t linkage_name(const struct symtab_match *m, char *to, size_t size)
{
	size_t len = symtab_string(m->table, m->name, to, size);
	char *version;

	if (len == size - 1) {
		end_by_hash(m, to, size);
		return strlen(to);
	}
	version = len ? find_version(to) : NULL;

	if (version) {
		*version = '\0';
		len = (size_t)(version - to);
	}
	return len;
}

static size_t append_plt(char *to, size_t len)
{
	memcpy(to + len, "@plt", 5);
	return len + 4;
}

static bool name_by_match(struct batch *b, const struct symtab_match *m, struct symbol_frame *f)
{
	char linkage[MANGLED_MAX + 2], name[NAME_MAX_BYTES + 1 + 4], system[MANGLED_MAX + 8];
	size_t len = linkage_name(m, linkage, sizeof(linkage));
	size_t name_len = demangle(linkage, name);
	size_t system_len = utf8_copy(system, sizeof(system) - 4, linkage, len);

	if (len == 0) {
		f->name = f->system_name = b->unknown;
		return true;
	}
	if (m->is_plt) {
		name_len = append_plt(name, name_len);
		system_len = append_plt(system, system_len);
	}
	f->name = intern(&b->strings, name, name_len);
	f->system_name = intern(&b->strings, system, system_len);
	return f->name && f->system_name;
}

static const char *basename_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Of an object that was opened by /proc/self/fd/N, the name that the kernel has for the file. */
static const char *file_name_of(const struct module *m, struct mapped_file *f)
{
	const char *path = m->is_main ? started_as(m->path) : m->path;

	if (strstr(path, "/fd/") && m->is_loaded && m->range_count &&
	    mapped_file_at(m->range[0].start, f))
		path = f->path;
	return basename_of(path);
}

/* "[libfoo.so]"; names like "[vdso]" have their brackets already. */
static bool make_unknown(struct batch *b)
{
	struct mapped_file f;
	const char *base = file_name_of(b->m, &f);
	char buf[NAME_MAX_BYTES], clean[NAME_MAX_BYTES];
	struct text t = TEXT_INIT(buf);
	bool is_bare = base[0] != '[';

	text_str(&t, is_bare ? "[" : "");
	text_bytes(&t, clean, utf8_copy(clean, sizeof(clean) - 2, base, strlen(base)));
	text_str(&t, is_bare ? "]" : "");
	b->unknown = intern(&b->strings, t.at, t.len);
	return b->unknown;
}

static bool fill_frame(struct batch *b, size_t i, struct symbol_frame *f)
{
	const struct symtab_match *m = &b->search.match[i];

	if (!m->table) {
		f->name = f->system_name = b->unknown;
		return true;
	}
	if (i && is_same(m, m - 1)) {
		*f = *(f - 1);
		return true;
	}
	return name_by_match(b, m, f);
}

static bool fill_frames(struct batch *b)
{
	struct symbol_frame *f = arena_array(b->out, b->count, sizeof(*f));
	bool ok = f;

	for (size_t i = 0; ok && i < b->count; i++) {
		f[i].file = "";
		ok = fill_frame(b, i, &f[i]);
		b->symbol[i] = (struct symbol){ .frame = &f[i], .frame_count = 1 };
	}
	return ok;
}

static bool resolve_names(struct batch *b)
{
	bool ok = make_unknown(b) && search_names(b) && fill_frames(b);

	arena_release(&b->tables);
	return ok;
}

/* The debug file is opened only when the file lacks something, so it comes first. */
static bool resolve_lines(struct batch *b, int64_t deadline_ns, bool *is_whole)
{
	struct lines_request r = {
		.e = b->objects->has_debug ? &b->objects->debug : &b->objects->file,
		.path = b->m->path,
		.addr = b->addr,
		.count = b->count,
		.symbol = b->symbol,
		.unknown = b->unknown,
		.strings = &b->strings,
		.out = b->out,
		.memory = RESOLVE_MEMORY_MAX - b->scratch.mapped,
		.deadline_ns = deadline_ns,
	};

	if (!b->objects->has_file && !b->objects->has_debug)
		return true;
	if (!lines_resolve(&r))
		return false;
	*is_whole = r.is_whole;
	return true;
}

bool resolve_addresses(struct arena *a, struct resolve_request *r, struct symbol *out)
{
	struct batch b = { .out = a,
			   .scratch = ARENA_INIT(RESOLVE_MEMORY_MAX / 2),
			   .tables = ARENA_INIT(RESOLVE_MEMORY_MAX / 2),
			   .m = r->m,
			   .objects = r->objects,
			   .addr = r->addr,
			   .count = r->count,
			   .symbol = out };
	bool ok;

	b.strings = (struct intern)INTERN_INIT(a, &b.scratch);
	r->is_whole = false;
	ok = resolve_names(&b) &&
	     (r->detail == SYMBOLS_NAMES || resolve_lines(&b, r->deadline_ns, &r->is_whole));
	arena_release(&b.tables);
	arena_release(&b.scratch);
	return ok;
}
