/*
 * Who calls this: unwind/code.c refreshes (listener); whoever names or walks an address
 * asks module_find(); hooks read the generation only.
 *
 * The one structure is `table`: modules are added at its end and never moved; one that
 * the loader no longer lists gets `died`, and the index holds those that are alive.
 *
 * The one order that matters: a whole look at the loader's list is read into a `refresh`
 * of its own, and taken over only if the list was at rest before and after.  A
 * child that is forked meanwhile finds `changing` and starts with an empty table.
 */
#include "sampler/process/modules.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "sampler/base/arena.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/mapped_file.h"
#include "sampler/process/module_read.h"
#include "sampler/process/peek.h"

/* 4096 modules of 1.8 KiB, and their index. */
#define TABLE_BYTES (16UL << 20)
#define NOT_FOUND   SIZE_MAX

/* glibc's limit. */
#define NAMESPACES_MAX 16

/* The loader's public record, with the namespaces of glibc 2.35 (r_version 2) behind it. */
struct loader_list {
	struct r_debug base;
	uint64_t next;
};

/* One executable range of a module that is loaded now; sorted by start. */
struct index_entry {
	uint64_t start, limit;
	const struct module *module;
};

static struct {
	struct arena arena;
	struct module **module;
	struct index_entry *index;
	size_t count, index_count;
	atomic_uint generation;	       /* written by the listener, read by hooks too */
	atomic_bool changing;	       /* a child that is forked now has half a table */
	bool believed;		       /* the last refresh found the loader's list at rest */
	uint64_t last[NAMESPACES_MAX]; /* the loader's record of the last object in each */
	size_t namespace_count;
	uint64_t main_phdr, vdso_ehdr; /* from the auxiliary vector */
	uint32_t main_phdr_count;
	char main_path[MODULE_PATH_MAX];
} table = { .arena = { .limit = TABLE_BYTES, .kept = true } };

/* Whether the kernel started the loader, and the loader the program: there is no interpreter then.
 */
static bool loader_was_started(void)
{
	return getauxval(AT_BASE) == 0;
}

static bool read_mapped_path(void)
{
	struct mapped_file f;

	if (!mapped_file_at(table.main_phdr, &f))
		return false;
	memcpy(table.main_path, f.path, sizeof(f.path));
	return true;
}

/* Of the program, not of the loader that was started as `ld.so PROGRAM`. */
static void read_main_path(void)
{
	long n;

	if (loader_was_started() && read_mapped_path())
		return;
	n = sys_call4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)table.main_path,
		      sizeof(table.main_path) - 1);

	if (n < 0)
		n = 0;
	table.main_path[n] = '\0';
}

void modules_init(void)
{
	table.main_phdr = getauxval(AT_PHDR);
	table.main_phdr_count = (uint32_t)getauxval(AT_PHNUM);
	table.vdso_ehdr = getauxval(AT_SYSINFO_EHDR);
	read_main_path();
}

static bool allocate_table(void)
{
	if (!table.module)
		table.module = arena_array(&table.arena, MODULE_MAX, sizeof(*table.module));
	if (!table.index)
		table.index = arena_array(&table.arena, (size_t)MODULE_MAX * MODULE_RANGES_MAX,
					  sizeof(*table.index));
	return table.module && table.index;
}

/* Is this still the object that we read before?  Its build id is read again: an address may be
 * reused. */
static bool same_image(const struct module *m)
{
	struct module now = { .bias = m->bias, .phdr = m->phdr, .phdr_count = m->phdr_count };

	return module_read_segments(&now) && now.build_id_len == m->build_id_len &&
	       memcmp(now.build_id, m->build_id, m->build_id_len) == 0 &&
	       now.image_limit == m->image_limit && now.eh_frame_hdr == m->eh_frame_hdr;
}

static bool is_alive(const struct module *m)
{
	return m->died == UINT32_MAX;
}

/* Newest first: a loader record may have been reused before the old one was seen to go. */
static size_t find_loaded(uint64_t link_map, uint64_t bias)
{
	for (size_t i = table.count; i-- > 0;) {
		const struct module *m = table.module[i];

		if (is_alive(m) && m->link_map == link_map && m->bias == bias)
			return i;
	}
	return NOT_FOUND;
}

static void read_path(struct module *m, uint64_t name)
{
	if (m->is_vdso)
		memcpy(m->path, "[vdso]", sizeof("[vdso]"));
	else if (m->is_main)
		memcpy(m->path, table.main_path, sizeof(m->path));
	else if (!peek_string(name, m->path, sizeof(m->path)))
		m->path[0] = '\0';
}

/* The executable's are where the kernel said. */
static bool locate_headers(struct module *m, uint64_t dynamic)
{
	if (!m->is_main || !table.main_phdr)
		return module_find_headers(m, dynamic);
	m->phdr = table.main_phdr;
	m->phdr_count = table.main_phdr_count;
	return true;
}

static struct module *read_module(uint64_t at, const struct link_map *l, bool is_main)
{
	struct module *m;

	if (table.count == MODULE_MAX) {
		counter_add(COUNTER_MODULES_DROPPED_TABLE_FULL, 1);
		return NULL;
	}
	m = arena_alloc(&table.arena, sizeof(*m));
	if (!m)
		return NULL;
	m->bias = l->l_addr;
	m->link_map = at;
	m->is_main = is_main;
	m->is_vdso = table.vdso_ehdr && l->l_addr == table.vdso_ehdr;
	m->born = table.generation;
	m->died = UINT32_MAX;
	if (!locate_headers(m, (uint64_t)l->l_ld) || !module_read_segments(m))
		m->range_count = 0; /* kept, so that it is not read again each time */
	module_count_losses(m);
	read_path(m, (uint64_t)l->l_name);
	return m;
}

/* What one look at the loader's list found. */
struct refresh {
	bool seen[MODULE_MAX];
	struct module *added[MODULE_MAX];
	size_t added_count;
	uint64_t last[NAMESPACES_MAX];
	size_t namespace_count;
	bool incomplete; /* the list changed or vanished under us */
};

static void note_module(struct refresh *r, uint64_t at, const struct link_map *l, bool is_main)
{
	size_t i = find_loaded(at, l->l_addr);
	struct module *m = i == NOT_FOUND ? NULL : table.module[i];

	if (m && (m->range_count == 0 || same_image(m))) {
		r->seen[i] = true;
		return;
	}
	m = read_module(at, l, is_main);
	if (m && r->added_count < MODULE_MAX)
		r->added[r->added_count++] = m;
}

static void note_last(struct refresh *r, uint64_t last)
{
	if (last && r->namespace_count < NAMESPACES_MAX)
		r->last[r->namespace_count++] = last;
}

static void read_list(struct refresh *r, uint64_t first, bool is_first_namespace)
{
	uint64_t at = first, last = 0;

	for (size_t i = 0; at && i < MODULE_MAX; i++) {
		struct link_map l;

		if (!peek(at, &l, sizeof(l))) {
			r->incomplete = true;
			return;
		}
		note_module(r, at, &l, is_first_namespace && at == first);
		last = at;
		at = (uint64_t)l.l_next;
	}
	note_last(r, last);
}

/* The loader's state now; anything but consistent if it cannot be read. */
static int peek_state(uint64_t list)
{
	struct r_debug d = { .r_state = RT_ADD };

	peek(list, &d, sizeof(d));
	return d.r_state;
}

static void read_namespaces(struct refresh *r)
{
	uint64_t at = (uint64_t)&_r_debug;
	bool is_first = true;

	while (at) {
		struct loader_list list = { .next = 0 };

		if (!peek(at, &list, sizeof(list)) && !peek(at, &list.base, sizeof(list.base)))
			break;
		r->incomplete |= list.base.r_state != RT_CONSISTENT;
		read_list(r, (uint64_t)list.base.r_map, is_first);
		r->incomplete |= peek_state(at) != RT_CONSISTENT;
		at = list.base.r_version >= 2 ? list.next : 0;
		is_first = false;
	}
}

static bool mark_missing_as_gone(const struct refresh *r)
{
	bool any = false;

	for (size_t i = 0; i < table.count; i++)
		any |= is_alive(table.module[i]) && !r->seen[i];
	if (any)
		table.generation++;
	for (size_t i = 0; any && i < table.count; i++) {
		if (is_alive(table.module[i]) && !r->seen[i])
			table.module[i]->died = table.generation;
	}
	return any;
}

static void insert_range(const struct module *m, const struct module_range *range)
{
	size_t i = table.index_count++;

	for (; i > 0 && table.index[i - 1].start > range->start; i--)
		table.index[i] = table.index[i - 1];
	table.index[i] = (struct index_entry){ range->start, range->limit, m };
}

static void rebuild_index(void)
{
	table.index_count = 0;
	for (size_t i = 0; i < table.count; i++) {
		const struct module *m = table.module[i];

		for (uint32_t k = 0; is_alive(m) && k < m->range_count; k++)
			insert_range(m, &m->range[k]);
	}
}

static void add_module(struct module *m)
{
	if (table.count == MODULE_MAX) {
		counter_add(COUNTER_MODULES_DROPPED_TABLE_FULL, 1);
		return;
	}
	m->born = table.generation;
	table.module[table.count++] = m;
}

/* A list that was being changed while we read it is not believed; the next refresh sees it at rest.
 */
static bool take_over(const struct refresh *r)
{
	bool went;

	table.believed = !r->incomplete;
	if (r->incomplete)
		return false;
	memcpy(table.last, r->last, sizeof(table.last));
	table.namespace_count = r->namespace_count;
	went = mark_missing_as_gone(r);
	for (size_t i = 0; i < r->added_count; i++)
		add_module(r->added[i]);
	if (went || r->added_count)
		rebuild_index();
	return went || r->added_count;
}

/* What it works with is large, and not there when the target forks in between. */
static bool refresh(void)
{
	struct refresh *r = allocate_table() ? sys_map(sizeof(*r)) : NULL;
	bool changed;

	if (!r)
		return false;
	read_namespaces(r);
	changed = take_over(r);
	sys_unmap(r, sizeof(*r));
	return changed;
}

/* seq_cst: a child that is forked while the table changes must find `changing` set. */
bool modules_refresh(void)
{
	bool changed;

	atomic_store(&table.changing, true);
	table.believed = false;
	changed = refresh();
	atomic_store(&table.changing, false);
	return changed;
}

bool modules_have_come(void)
{
	for (size_t i = 0; i < table.namespace_count; i++) {
		uint64_t next = 0;

		peek(table.last[i] + offsetof(struct link_map, l_next), &next, sizeof(next));
		if (next)
			return true;
	}
	return false;
}

void modules_renew(size_t first)
{
	table.generation++;
	for (size_t i = first; i < table.count; i++)
		table.module[i]->born = table.generation;
}

bool modules_are_current(void)
{
	return table.believed;
}

uint32_t modules_generation(void)
{
	return table.generation;
}

size_t modules_count(void)
{
	return table.count;
}

const struct module *module_at(size_t index)
{
	return table.module[index];
}

static const struct module *find_now(uint64_t pc)
{
	size_t lo = 0, hi = table.index_count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (table.index[mid].start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && pc < table.index[lo - 1].limit ? table.index[lo - 1].module : NULL;
}

static bool covers(const struct module *m, uint64_t pc, uint32_t generation)
{
	if (generation < m->born || generation >= m->died)
		return false;
	for (uint32_t i = 0; i < m->range_count; i++) {
		if (pc >= m->range[i].start && pc < m->range[i].limit)
			return true;
	}
	return false;
}

const struct module *module_find(uint64_t pc, uint32_t generation)
{
	if (generation == table.generation)
		return find_now(pc);
	for (size_t i = 0; i < table.count; i++) {
		if (covers(table.module[i], pc, generation))
			return table.module[i];
	}
	return NULL;
}

static void forget(void)
{
	table.module = NULL;
	table.index = NULL;
	table.count = 0;
	table.index_count = 0;
	table.namespace_count = 0;
}

/* The memory of half a table is left where it is: what of it is mapped is not known. */
bool modules_after_fork(void)
{
	if (!atomic_load(&table.changing))
		return true;
	table.arena = (struct arena){ .limit = TABLE_BYTES, .kept = true };
	forget();
	atomic_store(&table.changing, false);
	return false;
}
