/*
 * The batch: open what describes the module, find the symbol of each address,
 * make names of them, and where asked for and possible refine them by lines.
 *
 * Addresses are worked off in slices, so that any number of them fits into the
 * memory set aside for the work.
 */
#include "sampler/symbols.h"

#include <string.h>

#include "sampler/counters.h"
#include "sampler/demangle.h"
#include "sampler/intern.h"
#include "sampler/objects.h"
#include "sampler/plt.h"
#include "sampler/symtab.h"
#include "sampler/utf8.h"
#include "shim/cc.h"

#define SCRATCH_BYTES_MAX (24UL << 20)
#define SLICE		  65536 /* addresses worked on at once */
#define TABLES		  3

/* One slice of a call. */
struct batch {
	struct arena *out;
	struct arena scratch;
	const struct module *m;
	struct objects objects;
	struct elf_reader memory; /* of the dynamic symbol table, when there is no file */
	struct symtab table[TABLES];
	size_t table_count;
	uint64_t *addr; /* as in the file: without the load bias */
	size_t count;
	struct symtab_search search;
	struct intern strings;
	struct symbol *symbol;
};

static bool subtract_bias(struct batch *b, const uint64_t *pc)
{
	b->addr = arena_array(&b->scratch, b->count, sizeof(*b->addr));
	for (size_t i = 0; b->addr && i < b->count; i++)
		b->addr[i] = pc[i] - b->m->bias;
	return b->addr;
}

static void add_table(struct batch *b, bool opened)
{
	if (opened)
		symtab_search_table(&b->search, &b->table[b->table_count++]);
}

static void add_table_of(struct batch *b, const struct elf *e, uint32_t type)
{
	add_table(b, symtab_open(&b->table[b->table_count], &b->scratch, e, type));
}

/* Last, because stubs need the dynamic table and beat what merely reaches over them. */
static void search_stubs(struct batch *b)
{
	struct symtab dynsym;
	struct symtab *kept = arena_alloc(&b->scratch, sizeof(*kept));

	if (!kept || !symtab_open(&dynsym, &b->scratch, &b->objects.file, SHT_DYNSYM))
		return;
	*kept = dynsym;
	plt_search(&b->objects.file, kept, &b->scratch, b->addr, b->count, b->search.match);
}

/* Of a stripped file, the debug file has the local symbols and the file the exported ones. */
static void search_files(struct batch *b)
{
	add_table_of(b, &b->objects.file, SHT_SYMTAB);
	if (b->objects.has_debug)
		add_table_of(b, &b->objects.debug, SHT_SYMTAB);
	add_table_of(b, &b->objects.file, SHT_DYNSYM);
}

/* Of a module that is gone, the addresses may hold another by now. */
static void search_memory(struct batch *b)
{
	if (b->m->died == UINT32_MAX)
		add_table(b, symtab_open_memory(&b->table[b->table_count], &b->memory, b->m));
}

static bool search_names(struct batch *b)
{
	if (!symtab_search_init(&b->search, &b->scratch, b->addr, b->count))
		return false;
	if (b->objects.has_file)
		search_files(b);
	if (b->table_count == 0)
		search_memory(b);
	symtab_search_finish(&b->search);
	if (b->objects.has_file)
		search_stubs(b);
	return true;
}

static bool is_same(const struct symtab_match *a, const struct symtab_match *b)
{
	return a->table == b->table && a->name == b->name && a->is_plt == b->is_plt;
}

/* Reads a symbol's name without its version (@GLIBC_2.34), with room for "@plt". */
static size_t linkage_name(const struct symtab_match *m, char *to, size_t size)
{
	size_t len = symtab_string(m->table, m->name, to, size);
	char *version = len ? memchr(to + 1, '@', len - 1) : NULL;

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

/* "[libfoo.so]"; names like "[vdso]" have their brackets already. */
static bool name_by_module(struct batch *b, struct symbol_frame *f)
{
	const char *base = basename_of(b->m->path);
	char name[NAME_MAX_BYTES];
	size_t len;

	if (base[0] == '[') {
		len = utf8_copy(name, sizeof(name), base, strlen(base));
	} else {
		name[0] = '[';
		len = 1 + utf8_copy(name + 1, sizeof(name) - 2, base, strlen(base));
		name[len++] = ']';
	}
	f->name = intern(&b->strings, name, len);
	f->system_name = f->name;
	return f->name;
}

static bool fill_frame(struct batch *b, size_t i, struct symbol_frame *f)
{
	const struct symtab_match *m = &b->search.match[i];

	if (!m->table) {
		counter_add(COUNTER_SYMBOL_NAMES_UNKNOWN, 1);
		return name_by_module(b, f);
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

static bool resolve_slice(struct batch *b, const uint64_t *pc)
{
	if (!subtract_bias(b, pc))
		return false;
	objects_open(&b->objects, &b->scratch, b->m);
	return search_names(b) && fill_frames(b);
}

static bool run_slice(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		      struct symbol *out)
{
	struct batch b = { .out = a,
			   .scratch = ARENA_INIT(SCRATCH_BYTES_MAX),
			   .m = m,
			   .count = count,
			   .symbol = out };
	bool ok;

	b.strings = (struct intern)INTERN_INIT(a, &b.scratch);
	ok = resolve_slice(&b, pc);
	objects_close(&b.objects);
	arena_release(&b.scratch);
	return ok;
}

int symbols_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		    enum symbols_detail detail, int64_t deadline_ns, struct symbol *out)
{
	(void)detail;
	(void)deadline_ns;
	for (size_t done = 0; done < count;) {
		size_t n = MIN(count - done, (size_t)SLICE);

		if (!run_slice(a, m, pc + done, n, out + done))
			return -1;
		done += n;
	}
	return 0;
}
