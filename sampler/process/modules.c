/*
 * Who calls this: unwind/code.c refreshes (listener); whoever names or walks an address
 * asks module_find(), whoever keeps a stack makes frames of its addresses.
 *
 * The one structure is `table`: a record for each module of this life, found by number or
 * by identity.  What is loaded now is in `now`, which the kernel takes from a forked child.
 *
 * The one order that matters: a look at the loader's list is read into a `refresh` of its
 * own, and taken over only if the list was at rest before and after.  Of the table
 * itself, a record is whole before its number is given, and never changes but in where
 * it is loaded; so a child that is forked at any moment has a table it can go on with.
 */
#include "sampler/process/modules.h"

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "sampler/base/arena.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/permanent.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/text.h"
#include "sampler/process/guests.h"
#include "sampler/process/loader_list.h"
#include "sampler/process/mapped_file.h"
#include "sampler/process/module_read.h"
#include "sampler/process/modules_kept.h"
#include "sampler/process/peek.h"

/* Some 280 bytes each: 16 MiB hold all that have a number. */
#define RECORDS_BYTES (16UL << 20)
#define REFRESH_BYTES (8UL << 20)
#define HASH_CHAINS   4096
#define NUMBERS	      (MODULES_MAX + 1) /* from 1 */
#define MET_MAX	      8192
#define TRIES	      256 /* records that are looked at for one to be given again */

struct record {
	struct module m;
	struct record *next; /* in its hash chain */
	uint64_t hash;
	size_t room;	   /* bytes behind it */
	uint32_t seen;	   /* the last look that met it, believed or not */
	bool is_inherited; /* in a child: it was loaded in the parent, and was not met yet */
};

/* One executable range of a module that is loaded now. */
struct index_entry {
	uint64_t start, limit;
	const struct module *module;
};

/* What is loaded now; the index is sorted by start. */
struct now {
	size_t loaded_count, index_count;
	uint64_t movable_start, movable_limit; /* around all that is not fixed */
	struct record *loaded[MODULES_LOADED_MAX];
	struct index_entry index[MODULES_LOADED_MAX * MODULE_RANGES_MAX];
};

static struct {
	struct permanent memory;
	struct record **record; /* by number */
	struct record *chain[HASH_CHAINS];
	uint32_t count; /* of records; also the last number */
	uint32_t limit; /* the largest number to be given */
	uint32_t tried; /* records that were looked at, to be given again */
	struct now *now;
	bool has_looked; /* in this process */
	uint32_t look;
	bool has_gone;		       /* something was unloaded in this life */
	uint32_t met_count;	       /* records of modules_meet() */
	uint64_t main_phdr, vdso_ehdr; /* from the auxiliary vector */
	uint32_t main_phdr_count;
	char main_path[MODULE_PATH_MAX];
} table = { .memory = { .limit = RECORDS_BYTES }, .limit = MODULES_MAX };

_Atomic uint64_t *modules_bias;

/* Whether the kernel started the loader, and the loader the program: there is no interpreter then.
 */
static bool loader_was_started(void)
{
	return getauxval(AT_BASE) == 0;
}

static bool read_mapped_path(char path[MODULE_PATH_MAX])
{
	struct mapped_file f;

	if (!mapped_file_at(getauxval(AT_PHDR), &f))
		return false;
	memcpy(path, f.path, sizeof(f.path));
	return true;
}

/* What was executed: another file, if that is a script.  Who opens it compares. */
static void take_executed_path(char path[MODULE_PATH_MAX])
{
	const char *executed = (const char *)getauxval(AT_EXECFN);
	struct text t = { .at = path, .size = MODULE_PATH_MAX };

	path[0] = '\0';
	if (executed)
		text_str(&t, executed);
}

void modules_program_file(char path[MODULE_PATH_MAX])
{
	long n;

	if (loader_was_started() && read_mapped_path(path))
		return;
	n = sys_call4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path,
		      MODULE_PATH_MAX - 1);
	if (n < 0) /* no /proc */
		take_executed_path(path);
	else
		path[n] = '\0';
}

void modules_init(void)
{
	table.main_phdr = getauxval(AT_PHDR);
	table.main_phdr_count = (uint32_t)getauxval(AT_PHNUM);
	table.vdso_ehdr = getauxval(AT_SYSINFO_EHDR);
	modules_program_file(table.main_path);
	loader_list_init();
}

/* ---- records */

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		h = (h ^ at[i]) * 0x100000001b3; /* FNV-1a */
	return h;
}

static uint64_t hash_of(const struct module *m)
{
	uint64_t h = hash_bytes(0xcbf29ce484222325, m->path, strlen(m->path));

	h = hash_bytes(h, &m->file, sizeof(m->file));
	return hash_bytes(h, m->build_id, m->build_id_len);
}

/* What is the same wherever a file is loaded. */
static bool same_layout(const struct module *a, const struct module *b)
{
	return a->range_count == b->range_count && a->phdr_count == b->phdr_count &&
	       a->image_limit - a->bias == b->image_limit - b->bias &&
	       a->eh_frame_hdr - a->bias == b->eh_frame_hdr - b->bias;
}

static bool same_build_id(const struct module *a, const struct module *b)
{
	return a->build_id_len == b->build_id_len &&
	       memcmp(a->build_id, b->build_id, a->build_id_len) == 0;
}

static bool same_file(const struct module *a, const struct module *b)
{
	return strcmp(a->path, b->path) == 0 && same_build_id(a, b) &&
	       a->file.size == b->file.size && a->file.changed_ns == b->file.changed_ns;
}

static bool same_module(const struct module *a, const struct module *b)
{
	return a->is_fixed == b->is_fixed && same_file(a, b) && same_layout(a, b);
}

/* One that is not loaded: the same file may be loaded twice (dlmopen), and is two modules then. */
static struct record *find_record(const struct module *m, uint64_t hash)
{
	struct record *r = table.chain[hash % HASH_CHAINS];

	while (r && (r->hash != hash || r->m.is_loaded || !same_module(&r->m, m)))
		r = r->next;
	return r;
}

static size_t bytes_behind(const struct module *m)
{
	return m->range_count * sizeof(*m->range) + m->build_id_len + strlen(m->path) + 1;
}

/* Lays what the pointers of `from` lead to behind `to`. */
static void copy_module(struct module *to, const struct module *from, void *behind)
{
	char *at = behind;

	*to = *from;
	to->range = memcpy(at, from->range, from->range_count * sizeof(*from->range));
	at += from->range_count * sizeof(*from->range);
	to->build_id = memcpy(at, from->build_id, from->build_id_len);
	at += from->build_id_len;
	to->path = memcpy(at, from->path, strlen(from->path) + 1);
}

static bool allocate_table(void)
{
	if (!table.record)
		table.record = sys_map_kept(NUMBERS * sizeof(struct record *));
	if (!modules_bias)
		modules_bias = sys_map_kept(NUMBERS * sizeof(*modules_bias));
	if (!table.now)
		table.now = sys_map(sizeof(*table.now));
	return table.record && modules_bias && table.now;
}

/* As it is written: a child may be forked between any two instructions. */
static void keep_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* A child that is forked in here loses the new one, or finds it by number only. */
static struct record *add_record(const struct module *m)
{
	size_t room = bytes_behind(m);
	struct record *r = NULL;

	if (table.count < table.limit)
		r = permanent_alloc(&table.memory, sizeof(*r) + room);
	if (!r)
		return NULL;
	copy_module(&r->m, m, r + 1);
	r->room = room;
	r->m.number = table.count + 1;
	table.record[r->m.number] = r;
	keep_order();
	table.count++;
	return r;
}

static bool may_be_forgotten(const struct record *r, size_t bytes)
{
	return !r->m.is_loaded && !r->is_inherited && !modules_is_kept(r->m.number) &&
	       r->room >= bytes;
}

static void unchain(const struct record *r)
{
	struct record **at = &table.chain[r->hash % HASH_CHAINS];

	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
}

/* A child that is forked in here has a record that nobody finds or means. */
static void write_over(struct record *r, const struct module *m)
{
	uint32_t number = r->m.number;

	unchain(r);
	keep_order();
	copy_module(&r->m, m, r + 1);
	r->m.number = number;
}

/* One of a module that went and that nobody keeps; some are looked at each time. */
static struct record *reuse_record(const struct module *m)
{
	for (uint32_t i = 0; i < MIN(table.count, (uint32_t)TRIES); i++) {
		struct record *r = table.record[table.tried++ % table.count + 1];

		if (!may_be_forgotten(r, bytes_behind(m)))
			continue;
		write_over(r, m);
		return r;
	}
	return NULL;
}

static struct record *new_record(const struct module *m, uint64_t hash)
{
	struct record **chain = &table.chain[hash % HASH_CHAINS];
	struct record *r = add_record(m);

	if (!r)
		r = reuse_record(m);
	if (!r) {
		counter_add(COUNTER_MODULES_DROPPED_TABLE_FULL, 1);
		return NULL;
	}
	r->hash = hash;
	r->next = *chain;
	keep_order();
	*chain = r;
	return r;
}

/* Where it is loaded now: the record's own path, id and number stay. */
static void settle(struct record *r, const struct module *m, uint32_t came)
{
	struct module new = *m;

	new.path = r->m.path;
	new.build_id = r->m.build_id;
	new.range = r->m.range;
	new.number = r->m.number;
	new.came = came;
	memcpy(new.range, m->range, m->range_count * sizeof(*m->range));
	r->m = new; /* at once: a child that is forked now finds no pointer that is not the record's
		     */
	atomic_store_explicit(&modules_bias[new.number], m->bias, memory_order_relaxed);
}

/* ---- one look at the loader's list */

/* What was not loaded before, in its own memory. */
struct newcomer {
	struct newcomer *next;
	struct module m;
};

struct refresh {
	struct arena arena;
	struct newcomer *first, **end;
	size_t count;  /* of all that were met */
	size_t cursor; /* among the loaded: they are mostly met in their order */
};

static void read_path(struct module_image *im, uint64_t name)
{
	if (im->m.is_vdso)
		memcpy(im->path, "[vdso]", sizeof("[vdso]"));
	else if (im->m.is_main)
		memcpy(im->path, table.main_path, sizeof(im->path));
	else if (!peek_string(name, im->path, sizeof(im->path)))
		im->path[0] = '\0';
}

/* The kernel says so of what is mapped when its name is gone, or leads to another file. */
static bool is_deleted(const struct module *m)
{
	static const char mark[] = " (deleted)";
	struct mapped_file f;
	size_t len;

	if (!m->range_count || !mapped_file_at(m->range[0].start, &f))
		return false;
	len = strlen(f.path);
	return len >= strlen(mark) && strcmp(f.path + len - strlen(mark), mark) == 0;
}

/* A file without a build id is known by its size and time. */
static void read_file_time(struct module *m)
{
	struct stat st;

	if (m->build_id_len || m->path[0] != '/')
		return;
	if (is_deleted(m)) {
		m->file.size = MODULE_FILE_GONE;
	} else if (sys_call4(SYS_newfstatat, AT_FDCWD, (long)m->path, (long)&st, 0) == 0) {
		m->file.size = (uint64_t)st.st_size;
		m->file.changed_ns = st.st_mtim.tv_sec * NS_PER_SECOND + st.st_mtim.tv_nsec;
	}
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

static void read_module(struct module_image *im, const struct loader_object *o)
{
	module_image_init(im, o->record.l_addr);
	im->m.link_map = o->link_map;
	im->m.is_main = o->is_main;
	im->m.is_fixed = o->is_fixed;
	im->m.is_vdso = table.vdso_ehdr && o->record.l_addr == table.vdso_ehdr;
	if (!locate_headers(&im->m, (uint64_t)o->record.l_ld) || !module_read_segments(&im->m))
		im->m.range_count = 0; /* kept, so that it is not read again each time */
	read_path(im, (uint64_t)o->record.l_name);
	read_file_time(&im->m);
}

/* Another object may have taken its place, and the loader's memory for its record. */
static bool is_what_it_was(const struct module *m, const struct loader_object *o)
{
	struct module_image now;

	if (m->is_fixed)
		return true;
	read_module(&now, o);
	if (now.m.file.size == MODULE_FILE_GONE || now.m.file.size == 0)
		now.m.file = m->file; /* the one that is loaded was replaced on disk */
	return same_file(&now.m, m) && same_layout(&now.m, m);
}

/* The record of what is loaded there, if that is what it was at the last look. */
static struct record *find_loaded(struct refresh *k, const struct loader_object *o)
{
	size_t count = table.now->loaded_count;

	for (size_t i = 0; i < count; i++) {
		struct record *r = table.now->loaded[(k->cursor + i) % count];

		if (r->m.link_map != o->link_map || r->m.bias != o->record.l_addr)
			continue;
		k->cursor += i + 1;
		return is_what_it_was(&r->m, o) ? r : NULL;
	}
	return NULL;
}

static void note_newcomer(struct refresh *k, const struct loader_object *o)
{
	struct module_image im;
	struct newcomer *n;

	read_module(&im, o);
	n = arena_alloc(&k->arena, sizeof(*n) + bytes_behind(&im.m));
	if (!n) {
		counter_add(COUNTER_MODULES_DROPPED_TABLE_FULL, 1);
		return;
	}
	copy_module(&n->m, &im.m, n + 1);
	*k->end = n;
	k->end = &n->next;
}

static bool note_object(const struct loader_object *o, void *arg)
{
	struct refresh *k = arg;
	struct record *r;

	if (k->count++ == MODULES_LOADED_MAX) {
		counter_add(COUNTER_MODULES_DROPPED_TABLE_FULL, 1);
		return false;
	}
	r = find_loaded(k, o);
	if (r)
		r->seen = table.look;
	else
		note_newcomer(k, o);
	return true;
}

/* ---- what a look changes */

static void drop_from_index(void)
{
	struct now *now = table.now;
	size_t kept = 0;

	for (size_t i = 0; i < now->index_count; i++) {
		if (now->index[i].module->is_loaded)
			now->index[kept++] = now->index[i];
	}
	now->index_count = kept;
}

static void insert_range(const struct module *m, const struct module_range *range)
{
	struct now *now = table.now;
	size_t i = now->index_count++;

	for (; i > 0 && now->index[i - 1].start > range->start; i--)
		now->index[i] = now->index[i - 1];
	now->index[i] = (struct index_entry){ range->start, range->limit, m };
	if (m->is_fixed)
		return;
	now->movable_start = MIN(now->movable_start, range->start);
	now->movable_limit = MAX(now->movable_limit, range->limit);
}

static bool remove_missing(void (*changed)(const struct module *m))
{
	struct now *now = table.now;
	size_t kept = 0, before = now->loaded_count;

	for (size_t i = 0; i < before; i++) {
		struct record *r = now->loaded[i];

		if (r->seen == table.look) {
			now->loaded[kept++] = r;
			continue;
		}
		r->m.is_loaded = false;
		table.has_gone = true;
		changed(&r->m);
	}
	now->loaded_count = kept;
	if (kept != before)
		drop_from_index();
	return kept != before;
}

static bool add_newcomer(const struct module *m, uint32_t number,
			 void (*changed)(const struct module *m))
{
	uint64_t hash = hash_of(m);
	struct record *r = find_record(m, hash);
	bool is_new;

	if (!r) {
		r = new_record(m, hash);
		if (r)
			module_count_losses(m);
	}
	if (!r || table.now->loaded_count == MODULES_LOADED_MAX)
		return false;
	is_new = !r->is_inherited || r->m.bias != m->bias;
	settle(r, m, is_new ? number : r->m.came);
	r->m.is_loaded = true;
	r->is_inherited = false;
	r->seen = table.look;
	table.now->loaded[table.now->loaded_count++] = r;
	for (uint32_t i = 0; i < r->m.range_count; i++)
		insert_range(&r->m, &r->m.range[i]);
	if (is_new)
		changed(&r->m);
	return true;
}

/* In a child the records say what was loaded in the parent. */
static void begin_anew(void)
{
	for (uint32_t i = 1; i <= table.count; i++) {
		table.record[i]->is_inherited = table.record[i]->m.is_loaded;
		table.record[i]->m.is_loaded = false;
	}
	table.now->movable_start = UINT64_MAX;
}

static void drop_inherited(void (*changed)(const struct module *m))
{
	for (uint32_t i = 1; i <= table.count; i++) {
		if (table.record[i]->is_inherited)
			changed(&table.record[i]->m);
		table.record[i]->is_inherited = false;
	}
}

enum modules_look modules_refresh(uint32_t number, void (*changed)(const struct module *m))
{
	struct refresh k = { .arena = ARENA_INIT(REFRESH_BYTES), .end = &k.first };
	bool had_memory = table.now, any, at_rest;

	if (!allocate_table())
		return MODULES_NOT_AT_REST;
	if (!had_memory)
		begin_anew();
	table.look++;
	at_rest = loader_list_each(note_object, &k);
	any = at_rest && remove_missing(changed);
	for (const struct newcomer *n = k.first; at_rest && n; n = n->next)
		any |= add_newcomer(&n->m, number, changed);
	arena_release(&k.arena);
	if (!at_rest)
		return MODULES_NOT_AT_REST;
	if (!table.has_looked)
		drop_inherited(changed);
	table.has_looked = true;
	return any ? MODULES_CHANGED : MODULES_AS_BEFORE;
}

bool modules_have_come(void)
{
	return loader_list_has_grown();
}

/* ---- questions */

size_t modules_count(void)
{
	return table.count;
}

const struct module *module_at(size_t index)
{
	return &table.record[index + 1]->m;
}

const struct module *module_main(void)
{
	for (size_t i = 0; table.now && i < table.now->loaded_count; i++) {
		if (table.now->loaded[i]->m.is_main)
			return &table.now->loaded[i]->m;
	}
	return NULL;
}

static const struct module *find_loaded_at(uint64_t pc)
{
	const struct now *now = table.now;
	size_t lo = 0, hi = now ? now->index_count : 0;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (now->index[mid].start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && pc < now->index[lo - 1].limit ? now->index[lo - 1].module : NULL;
}

const struct module *module_find(uint64_t pc)
{
	const struct module *m = find_loaded_at(pc);

	return m ? m : guest_find(pc);
}

uint64_t modules_frame(uint64_t pc)
{
	const struct now *now = table.now;
	const struct module *m = NULL;

	if (now && pc >= now->movable_start && pc < now->movable_limit)
		m = find_loaded_at(pc);
	if (!m)
		m = guest_find(pc);
	return m && !m->is_fixed ? frame_in_module(m->number, m->bias, pc) : frame_of_address(pc);
}

const struct module *frame_module(uint64_t frame)
{
	uint32_t number = frame_number(frame);
	const struct module *m;

	if (number)
		return number <= table.count ? &table.record[number]->m : NULL;
	m = module_find(frame);
	return m && (m->is_fixed || !table.has_gone) ? m : NULL;
}

uint64_t frame_address(uint64_t frame)
{
	const struct module *m = frame_number(frame) ? frame_module(frame) : NULL;

	return m ? m->bias + (frame & ((1UL << FRAME_SHIFT) - 1)) : frame;
}

uint32_t modules_meet(const struct module *m)
{
	struct module there = *m;
	uint64_t hash = hash_of(m);
	struct record *r;

	if (!allocate_table())
		return 0;
	for (r = table.chain[hash % HASH_CHAINS]; r; r = r->next)
		if (r->hash == hash && same_file(&r->m, m) && same_layout(&r->m, m))
			return r->m.number;
	if (table.met_count == MET_MAX) { /* nothing that others say may fill the table */
		counter_add(COUNTER_MODULES_DROPPED_TABLE_FULL, 1);
		return 0;
	}
	table.met_count++;
	there.is_loaded = there.is_fixed = there.is_main = there.is_vdso = false;
	there.link_map = 0;
	r = new_record(&there, hash);
	if (!r)
		return 0;
	if (m->phdr_count) /* what stands for code in no object has no headers to be found */
		module_count_losses(m);
	modules_keep(r->m.number); /* before the stacks that have it come */
	return r->m.number;
}

_Static_assert(offsetof(struct record, m) == 0, "a record begins with its module");

struct modules_place modules_place(void)
{
	return (struct modules_place){ (const struct module *const *const *)&table.record,
				       &table.count };
}

void modules_limit_numbers(uint32_t max)
{
	table.limit = max;
}

/* Others may say any address: what is outside of the object stays a place in it, and is none here.
 */
uint64_t modules_frame_in(uint32_t number, uint64_t address)
{
	const struct module *m = &table.record[number]->m;
	uint64_t here = m->bias + address;

	return m->is_fixed && here >= m->image_start && here < m->image_limit
		       ? frame_of_address(here)
		       : frame_in_module(number, 0, address);
}

void modules_after_fork(void)
{
	table.now = NULL;
	table.has_looked = false;
	guests_after_fork();
	loader_list_after_fork();
}
