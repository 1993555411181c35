#include "shim/real/slots.h"

#include <link.h>
#include <stdint.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "shim/real/import_table.h"
#include "shim/real/loader_lock.h"
#include "shim/real/lookup.h"
#include "shim/real/slots_write.h"

#define FUNCTIONS_MAX 192

/* One that we stand for. */
struct function {
	const char *name;
	uint64_t ours, real;
	const struct link_map *in; /* who has the real one */
	const char *version;
	enum { NOT_ASKED, ONE_DEFINES, SEVERAL_DEFINE } definers;
};

/* By name. */
static struct function function[FUNCTIONS_MAX];
static size_t function_count;

static struct slots_found found;

static bool is_looking;

typedef int (*iterate_function)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
static iterate_function next_iterate;

/* ---- the functions */

static struct function *find_function(const char *name)
{
	size_t low = 0, high = function_count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(name, function[mid].name);

		if (order == 0)
			return &function[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static void insert(const struct function *f)
{
	size_t i = function_count;

	if (i == FUNCTIONS_MAX || find_function(f->name))
		return;
	for (; i > 0 && strcmp(function[i - 1].name, f->name) > 0; i--)
		function[i] = function[i - 1];
	function[i] = *f;
	function_count++;
}

/* Nearly all addresses lie outside of what we have. */
static struct range {
	uint64_t lowest, highest;
} all_ours, all_real;

static void widen(struct range *r, uint64_t address)
{
	r->lowest = MIN(r->lowest, address);
	r->highest = MAX(r->highest, address);
}

static bool is_within(const struct range *r, uint64_t address)
{
	return address >= r->lowest && address <= r->highest;
}

static void find_ranges(void)
{
	all_ours = all_real = (struct range){ .lowest = UINT64_MAX };
	for (size_t i = 0; i < function_count; i++) {
		widen(&all_ours, function[i].ours);
		widen(&all_real, function[i].real);
	}
}

static const struct link_map *loader_entry(void)
{
	struct lookup_found loader;

	return lookup_find_next("__tls_get_addr", &loader) ? loader.in : NULL;
}

/*
 * Objects up to the loader's own came with the program, and stay; so do others behind it,
 * which cannot be told from those that came later.
 */
static bool came_with_program(const struct link_map *in, const struct link_map *loader)
{
	const struct link_map *l = _r_debug.r_map;

	while (loader && l && l != in && l != loader)
		l = l->l_next;
	return loader && l == in;
}

void slots_choose(const struct slots_function *f, size_t count)
{
	const struct link_map *loader = loader_entry();

	next_iterate = (iterate_function)lookup_next("dl_iterate_phdr");
	is_looking = false; /* in a child, of another thread of its parent */
	function_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct lookup_found next;

		if (lookup_find_next(f[i].name, &next) && came_with_program(next.in, loader))
			insert(&(struct function){ .name = f[i].name,
						   .ours = (uint64_t)f[i].ours,
						   .real = (uint64_t)next.at,
						   .in = next.in,
						   .version = next.version });
	}
	find_ranges();
}

static const struct function *find_ours(uint64_t address)
{
	if (!is_within(&all_ours, address))
		return NULL;
	for (size_t i = 0; i < function_count; i++)
		if (function[i].ours == address)
			return &function[i];
	return NULL;
}

static bool is_only_definition(struct function *f)
{
	size_t n = 0;

	for (const struct link_map *l = _r_debug.r_map; l && f->definers == NOT_ASKED;
	     l = l->l_next)
		if (l != lookup_own_entry() && lookup_defines(l, f->name) && ++n > 1)
			f->definers = SEVERAL_DEFINE;
	if (f->definers == NOT_ASKED)
		f->definers = ONE_DEFINES;
	return f->definers == ONE_DEFINES;
}

/* ---- a look at all slots */

static bool has_version(const struct function *f, const char *version)
{
	return !version || !f->version || strcmp(version, f->version) == 0 ||
	       (uint64_t)lookup_version(f->in, f->name, version) == f->real;
}

struct look {
	bool gives_back;
	size_t index, skipped; /* of objects */
	uint64_t loader_bias;
	bool is_past_loader;
	struct import_table table;
	struct slots_changes *changes;
};

/*
 * What the loader would put into a slot that nobody has called through.  With several
 * definitions an object that came later may have been given its own first (RTLD_DEEPBIND).
 */
static bool will_be_real(const struct look *k, const struct import_slot *s, struct function *f)
{
	return !import_slot_is_defined(&k->table, s) &&
	       (!k->is_past_loader || is_only_definition(f)) &&
	       has_version(f, import_slot_version(&k->table, s));
}

static void note_change(struct look *k, const struct import_slot *s, uint64_t to)
{
	if (!slots_note_change(k->changes, (struct slots_change){ s->at, s->now, to }))
		found.closed++;
}

static void take_slot(const struct import_slot *s, void *arg)
{
	struct look *k = arg;
	bool is_unbound = import_slot_is_unbound(&k->table, s);
	struct function *f = NULL;

	if (find_ours(s->now))
		found.ours++;
	else if (is_unbound || is_within(&all_real, s->now))
		f = find_function(import_slot_name(&k->table, s));
	if (f && (s->now == f->real || (is_unbound && will_be_real(k, s, f))))
		note_change(k, s, f->ours);
	else if (f)
		found.unbound += is_unbound;
}

static void give_slot_back(const struct import_slot *s, void *arg)
{
	const struct function *f = find_ours(s->now);

	if (!f)
		return;
	found.ours++;
	note_change(arg, s, f->real);
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct look *k = arg;
	size_t before = k->changes->count + found.ours;

	(void)size;
	if (k->index++ < k->skipped || !import_table_read(&k->table, info))
		return 0;
	import_table_each(&k->table, k->gives_back ? give_slot_back : take_slot, k);
	k->is_past_loader |= info->dlpi_addr == k->loader_bias;
	found.objects += k->changes->count + found.ours > before;
	return 0;
}

/* ---- looks */

/* What the loader counts: objects that came and went, ever. */
struct counts {
	unsigned long long come, gone;
	size_t there;
};

static struct counts at_last_look;

static int read_counts(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct counts *c = arg;

	(void)size;
	c->come = info->dlpi_adds;
	c->gone = info->dlpi_subs;
	c->there++;
	return 0;
}

static int read_first(struct dl_phdr_info *info, size_t size, void *arg)
{
	read_counts(info, size, arg);
	return 1;
}

static void look(size_t skipped, bool gives_back)
{
	struct look k = { .skipped = skipped,
			  .gives_back = gives_back,
			  .is_past_loader = skipped != 0,
			  .changes = sys_map(sizeof(struct slots_changes)) };
	const struct link_map *loader = loader_entry();
	size_t done;

	at_last_look = (struct counts){ 0 };
	next_iterate(read_counts, &at_last_look);
	if (!k.changes)
		return;
	k.loader_bias = loader ? loader->l_addr : 0;
	for (size_t i = 0; i < function_count; i++)
		function[i].definers = NOT_ASKED;
	next_iterate(look_at_object, &k);
	done = slots_make_changes(k.changes, &found.closed);
	found.ours = gives_back ? found.ours - done : found.ours + done;
	sys_unmap(k.changes, sizeof(struct slots_changes));
}

/* A handler of the program that comes to the loader would come here. */
static void look_undisturbed(size_t skipped, bool gives_back)
{
	uint64_t mask;

	if (is_looking || !next_iterate)
		return;
	mask = sys_block_signals();
	is_looking = true;
	look(skipped, gives_back);
	is_looking = false;
	sys_restore_signals(mask);
}

void slots_take(void)
{
	found = (struct slots_found){ 0 };
	look_undisturbed(0, false);
}

void slots_give_back(void)
{
	found = (struct slots_found){ 0 };
	look_undisturbed(0, true);
	if (!found.ours)
		function_count = 0;
}

/* Where nothing went, those that were there are the first of the list. */
static void take_new(void)
{
	struct counts now = { 0 };

	next_iterate(read_first, &now);
	if (!function_count || now.come == at_last_look.come)
		return;
	if (now.gone == at_last_look.gone)
		look_undisturbed(at_last_look.there, false);
	else
		slots_take();
}

void slots_take_new(void)
{
	struct counts now = { 0 };

	if (!next_iterate || !function_count)
		return;
	next_iterate(read_first, &now);
	if (now.come != at_last_look.come)
		loader_lock_hold(take_new);
}

const struct slots_found *slots_found(void)
{
	return &found;
}
