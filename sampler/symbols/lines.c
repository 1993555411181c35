/*
 * One unit at a time: run its line table past the addresses, find the functions
 * and inlined calls around them, and write frames.  The memory for a unit goes
 * before the next one.
 */
#include "sampler/symbols/lines.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/symbols/dwarf_line.h"
#include "sampler/symbols/dwarf_name.h"
#include "sampler/symbols/dwarf_owner.h"
#include "sampler/symbols/dwarf_shared.h"
#include "sampler/symbols/dwarf_split.h"
#include "sampler/symbols/dwarf_tree.h"

#define FRAMES_MAX  128 /* of one address */
#define NAMER_BYTES (DWARF_NAMER_UNITS * DWARF_NAMER_UNIT_BYTES)

/* The whole request. */
struct job {
	const struct lines_request *r;
	struct arena arena; /* for as long as the request */
	struct dwarf d;
	struct dwarf_shared shared;
	struct dwarf_split split;
	struct dwarf_effort effort;
	struct dwarf_owners owners;
	struct dwarf_namer *namer;
	bool out_is_full;
	bool is_whole;
};

/* The unit at work. */
struct unit_job {
	struct job *j;
	struct arena arena;
	struct dwarf_loaded l;
	struct dwarf_split_unit split;
	struct dwarf_loaded functions; /* of the file that has them, with the lines of `l` */
	const struct sort_pair *pair;  /* its addresses: `value` is the index in the request */
	size_t count;
	uint64_t *addr;
	struct dwarf_row *row;
	struct dwarf_tree tree;
};

/* Where a frame is: in its function, or where it calls the frame inside. */
struct place {
	uint64_t file;
	uint32_t line;
	bool is_known;
};

static const char *path_of(struct unit_job *u, const struct place *at)
{
	if (!at->is_known || !u->l.has_lines)
		return "";
	return dwarf_line_path(&u->l.lines, u->j->r->strings, at->file);
}

/*
 * A frame's file is the one that its line is in.  The line of the declaration
 * counts only if it is in that file; strings are interned, so equal paths are
 * one pointer.
 */
static void set_place(struct unit_job *u, struct symbol_frame *f, const struct place *at,
		      const struct dwarf_function *function)
{
	f->file = path_of(u, at);
	f->line = f->file[0] ? at->line : 0;
	if (!f->file[0])
		f->file = function->file;
	f->start_line = f->file == function->file ? function->line : 0;
}

static const struct dwarf_node *node_at(const struct unit_job *u, uint32_t index)
{
	return index == DWARF_NO_NODE ? NULL : &u->tree.node[index];
}

/* The frames of address `i` from the inside out; returns how many. */
static uint32_t list_frames(struct unit_job *u, size_t i, struct symbol_frame *frame)
{
	const struct dwarf_node *n = node_at(u, u->tree.innermost[i]);
	struct place at = { u->row[i].file, u->row[i].line, u->row[i].is_known };
	struct dwarf_function f = { .file = "" };
	uint32_t count = 0;

	/* An inlined function without a name is left out: its caller is where it calls. */
	for (; n && n->parent != DWARF_NO_NODE; n = node_at(u, n->parent)) {
		f = dwarf_describe(u->j->namer, &u->functions, n->entry);
		if (f.name && count < FRAMES_MAX - 1) {
			frame[count] = (struct symbol_frame){ .name = f.name,
							      .system_name = f.system_name };
			set_place(u, &frame[count++], &at, &f);
		}
		at = (struct place){ n->call_file, n->call_line, true };
	}
	f = n ? dwarf_describe(u->j->namer, &u->functions, n->entry)
	      : (struct dwarf_function){ .file = "" };
	frame[count] = u->j->r->symbol[u->pair[i].value].frame[0];
	if (f.name && frame[count].name == u->j->r->unknown) {
		frame[count].name = f.name;
		frame[count].system_name = f.system_name;
	}
	set_place(u, &frame[count++], &at, &f);
	return count;
}

/* One frame is overwritten where it is, more get a place of their own. */
static bool write_frames(struct unit_job *u, size_t i)
{
	struct symbol *s = &u->j->r->symbol[u->pair[i].value];
	struct symbol_frame frame[FRAMES_MAX];
	uint32_t count = list_frames(u, i, frame);

	if (count > 1)
		s->frame = arena_array(u->j->r->out, count, sizeof(*frame));
	if (!s->frame)
		return false;
	memcpy(s->frame, frame, count * sizeof(*frame));
	s->frame_count = count;
	return true;
}

/* Without its other part, a skeleton is all that there is of a unit. */
static void open_other_part(struct unit_job *u, const struct dwarf_entry *root)
{
	struct job *j = u->j;

	u->functions.u = u->l.u;
	if (!dwarf_split_is_skeleton(&u->l.u, root))
		return;
	if (dwarf_split_open(&u->split, &j->split, &j->arena, &u->l.u, root, &u->arena)) {
		u->functions.u = u->split.u;
		return;
	}
	counter_add(COUNTER_SYMBOL_PARTS_MISSING, u->count);
	j->is_whole = false;
}

static bool open_unit(struct unit_job *u)
{
	struct dwarf_unit *unit = &u->l.u;
	struct dwarf_entry root;

	if (!dwarf_unit_header(unit, &u->j->d, u->pair[0].key) || !dwarf_unit_root(unit, &root))
		return false;
	open_other_part(u, &root);
	u->addr = arena_array(&u->arena, u->count, sizeof(*u->addr));
	u->row = arena_array(&u->arena, u->count, sizeof(*u->row));
	if (!u->addr || !u->row || !dwarf_tree_init(&u->tree, &u->arena, u->addr, u->count))
		return false;
	for (size_t i = 0; i < u->count; i++)
		u->addr[i] = u->j->r->addr[u->pair[i].value];
	u->l.has_lines = dwarf_lines_open(&u->l.lines, unit, &u->arena);
	u->functions.lines = u->l.lines;
	u->functions.has_lines = u->l.has_lines;
	return true;
}

/* Each is worth having without the other; an unreadable tree leaves all addresses bare. */
static bool read_unit(struct unit_job *u)
{
	struct dwarf_unit *unit = &u->functions.u;
	bool has_rows, has_tree;

	if (!open_unit(u))
		return false;
	has_rows = u->l.has_lines &&
		   dwarf_lines_run(&u->l.lines, &u->arena, u->addr, u->count, u->row);
	has_tree = dwarf_unit_abbrevs(unit, &u->arena) && dwarf_unit_load(unit, &u->arena) &&
		   dwarf_tree_read(&u->tree, unit, &u->arena);
	return has_rows || has_tree;
}

/* Returns how many addresses got what there is for them. */
static size_t resolve_unit(struct unit_job *u)
{
	size_t i = 0;

	if (!read_unit(u))
		return 0;
	while (i < u->count && !u->j->effort.is_spent && !u->j->out_is_full)
		u->j->out_is_full = !write_frames(u, i++);
	return i;
}

static enum counter reason(const struct job *j)
{
	return j->effort.is_spent ? COUNTER_SYMBOL_LINES_TIMED_OUT : COUNTER_SYMBOL_LINES_REFUSED;
}

/* The addresses from `first` on that have the same unit. */
static size_t count_of_unit(const struct dwarf_owners *o, size_t first)
{
	size_t n = 1;

	while (first + n < o->count && o->pair[first + n].key == o->pair[first].key)
		n++;
	return n;
}

static void run_unit(struct job *j, size_t first, size_t count)
{
	struct unit_job u = { .j = j, .pair = &j->owners.pair[first], .count = count };
	size_t done = 0;

	u.arena.limit = j->arena.limit - j->arena.mapped;
	if (dwarf_has_time(&j->effort))
		done = resolve_unit(&u);
	counter_add(reason(j), count - done);
	j->is_whole &= done == count;
	dwarf_split_close(&u.split);
	arena_release(&u.arena);
}

static bool start_job(struct job *j)
{
	j->d.effort = &j->effort;
	j->d.window = arena_alloc(&j->arena, DWARF_WINDOW_BYTES);
	j->namer = arena_alloc(&j->arena, sizeof(*j->namer));
	return j->d.window && j->namer &&
	       dwarf_namer_init(j->namer, &j->d, j->r->strings, &j->arena) &&
	       dwarf_owners_find(&j->owners, &j->d, &j->arena, j->r->addr, j->r->count);
}

static bool open_shared(struct job *j)
{
	if (dwarf_shared_open(&j->shared, &j->d, j->r->e))
		return true;
	counter_add(COUNTER_SYMBOL_PARTS_MISSING, j->r->count);
	return false;
}

static void run_job(struct job *j)
{
	if (!start_job(j)) {
		counter_add(COUNTER_SYMBOL_LINES_REFUSED, j->r->count);
		return;
	}
	if (j->effort.is_spent)
		counter_add(COUNTER_SYMBOL_LINES_TIMED_OUT, j->r->count - j->owners.count);
	j->is_whole = !j->effort.is_spent && open_shared(j);
	for (size_t i = 0; i < j->owners.count;) {
		size_t n = count_of_unit(&j->owners, i);

		run_unit(j, i, n);
		i += n;
	}
	dwarf_namer_release(j->namer);
	dwarf_shared_close(&j->shared);
	dwarf_package_close(&j->split.package);
}

/* What is unpacked comes as a whole or not at all, this fast. */
#define UNPACKED_BYTES_PER_US 200

static bool there_is_time(const struct lines_request *r)
{
	uint64_t us = dwarf_packed_bytes(r->e) / UNPACKED_BYTES_PER_US;

	return sys_now_ns() + (int64_t)us * 1000 < r->deadline_ns;
}

bool lines_resolve(struct lines_request *r)
{
	struct job j = { .r = r,
			 .split = { .e = r->e, .path = r->path },
			 .effort = { .deadline_ns = r->deadline_ns } };

	r->is_whole = false;
	if (!there_is_time(r)) {
		counter_add(COUNTER_SYMBOL_LINES_TIMED_OUT, r->count);
		return true;
	}
	if (r->memory > NAMER_BYTES)
		j.arena.limit = r->memory - NAMER_BYTES;
	switch (dwarf_sections_open(j.d.section, &j.arena, r->e, "")) {
	case DWARF_FOUND:
		run_job(&j);
		break;
	case DWARF_REFUSED:
		counter_add(COUNTER_SYMBOL_LINES_REFUSED, r->count);
		break;
	case DWARF_NONE:
		break;
	}
	arena_release(&j.arena);
	r->is_whole = j.is_whole;
	return !j.out_is_full;
}
