/*
 * Who calls this: threads/dump.c opens a process and ends; unwind/blocked.c copies.
 *
 * The one structure is `other`: the executable lines of our mappings, and those of the process
 * that is open, each with where its code is here.
 */
#include "sampler/process/other_process.h"

#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/arena.h"
#include "sampler/base/cc.h"
#include "sampler/base/sort.h"
#include "sampler/process/guests.h"
#include "sampler/process/maps_reader.h"
#include "sampler/process/modules.h"
#include "sampler/process/peek.h"

#define LINES_MAX   4096 /* of executable code; what is behind is nowhere */
#define LINES_BYTES (2UL << 20)
#define VDSO_INODE  UINT64_MAX /* it has none, and is the same in all processes */

/* One executable mapping. */
struct line {
	uint64_t start, limit, offset;
	uint64_t device, inode;
	uint64_t here; /* address here of what is at its start; 0: nowhere */
};

struct lines {
	struct line *list; /* by start */
	size_t count;
};

/* What is not read: mappings of files that are not mapped here. */
struct unread {
	struct unread_range {
		uint64_t start, limit;
	} * list; /* by start */
	size_t count;
	uint64_t known_until; /* nothing from there on is read */
};

static struct {
	struct arena arena;
	struct lines ours, theirs;
	struct unread unread;
	struct maps_reader *reader;
	uint8_t *head; /* a page */
	unsigned users;
	int pid;
	bool is_alike; /* what they have we have, where they have it, and nothing more */
} other;

static const struct line *find(const struct lines *l, uint64_t pc)
{
	size_t i =
		l->count ? sort_lower_bound_in(&l->list->limit, sizeof(*l->list), l->count, pc + 1)
			 : 0;

	/* the limit once more: one above the highest address is 0 */
	return i < l->count && l->list[i].start <= pc && pc < l->list[i].limit ? &l->list[i] : NULL;
}

static bool same_file(const struct line *a, const struct line *b)
{
	return a->inode && a->inode == b->inode && a->device == b->device;
}

static uint64_t address_in(const struct line *ours, const struct line *theirs)
{
	return ours->start + (theirs->offset - ours->offset);
}

static bool holds(const struct line *ours, const struct line *theirs)
{
	return same_file(ours, theirs) && theirs->offset >= ours->offset &&
	       theirs->offset - ours->offset + (theirs->limit - theirs->start) <=
		       ours->limit - ours->start;
}

/* Where it lies there, if it does: a file may be mapped twice. */
static uint64_t find_here(const struct line *theirs)
{
	const struct line *at = find(&other.ours, theirs->start);

	if (at && holds(at, theirs))
		return address_in(at, theirs);
	for (size_t i = 0; i < other.ours.count; i++)
		if (holds(&other.ours.list[i], theirs))
			return address_in(&other.ours.list[i], theirs);
	return 0;
}

static uint64_t address_in_guest(const struct module *m, const struct line *l)
{
	for (uint32_t i = 0; i < m->range_count; i++) {
		const struct module_range *r = &m->range[i];

		if (l->offset >= r->offset && l->offset - r->offset < r->limit - r->start)
			return r->start + (l->offset - r->offset);
	}
	return 0;
}

/* Its page may come from who never sends it, unless it is there. */
static size_t copy_head(uint64_t head)
{
	return peek_is_there_of(other.pid, head)
		       ? peek_some_of(other.pid, head, other.head, PAGE_BYTES)
		       : 0;
}

/* `head`: where the file's first byte is mapped there. */
static uint64_t find_guest(const struct line *l, const char *path, uint64_t head)
{
	const struct guest_file f = { .path = path,
				      .device = l->device,
				      .inode = l->inode,
				      .head = other.head,
				      .head_len = copy_head(head) };
	struct module *m = guest_meet(&f);

	if (m && !m->number)
		m->number = modules_meet(m);
	return m && m->number ? address_in_guest(m, l) : 0;
}

static struct line line_of(const struct maps_line *m)
{
	struct line l = { .start = m->start,
			  .limit = m->limit,
			  .offset = m->offset,
			  .device = m->device,
			  .inode = m->inode };

	if (strcmp(m->path, "[vdso]") == 0)
		l.inode = VDSO_INODE;
	return l;
}

static void locate(struct line *l, const struct maps_line *m, uint64_t head)
{
	l->here = find_here(l);
	if (!l->here && head && *m->path == '/')
		l->here = find_guest(l, m->path, head);
	other.is_alike &= l->here == l->start;
}

static void add_line(struct lines *l, const struct maps_line *m, uint64_t head)
{
	struct line *new = &l->list[l->count];

	if (!m->executable || l->count == LINES_MAX)
		return;
	*new = line_of(m);
	if (l == &other.theirs)
		locate(new, m, head);
	l->count++;
}

static bool is_mapped_here(const struct maps_line *m)
{
	for (size_t i = 0; i < other.ours.count; i++)
		if (other.ours.list[i].inode == m->inode && other.ours.list[i].device == m->device)
			return true;
	return false;
}

static void note_unread(const struct maps_line *m)
{
	struct unread *u = &other.unread;

	if (!m->inode || m->start >= u->known_until || is_mapped_here(m))
		return;
	if (u->count == LINES_MAX)
		u->known_until = m->start;
	else
		u->list[u->count++] = (struct unread_range){ m->start, m->limit };
}

/* The first byte of a file is mapped before its code. */
static void read_lines(struct lines *l)
{
	uint64_t head = 0, device = 0, inode = 0;
	struct maps_line m = { 0 };

	l->count = 0;
	while (maps_next(other.reader, &m)) {
		if (m.offset == 0 || m.inode != inode || m.device != device)
			head = m.offset == 0 && m.inode ? m.start : 0;
		inode = m.inode;
		device = m.device;
		add_line(l, &m, head);
		if (l == &other.theirs)
			note_unread(&m);
	}
	if (other.reader->lines > MAPS_LINES_MAX)
		other.unread.known_until = MIN(other.unread.known_until, m.limit);
	maps_close(other.reader);
}

static bool allocate(void)
{
	other.arena.limit = LINES_BYTES;
	other.ours.list = arena_array(&other.arena, LINES_MAX, sizeof(struct line));
	other.theirs.list = arena_array(&other.arena, LINES_MAX, sizeof(struct line));
	other.unread.list = arena_array(&other.arena, LINES_MAX, sizeof(*other.unread.list));
	other.reader = arena_alloc(&other.arena, sizeof(*other.reader));
	other.head = arena_alloc(&other.arena, PAGE_BYTES);
	return other.ours.list && other.theirs.list && other.unread.list && other.reader &&
	       other.head;
}

bool other_begin(void)
{
	if (other.users++)
		return true;
	if (allocate() && maps_open(other.reader)) {
		read_lines(&other.ours);
		return true;
	}
	arena_release(&other.arena);
	other_after_fork();
	return false;
}

bool other_open(int pid)
{
	other.pid = 0;
	other.is_alike = true;
	other.unread.count = 0;
	other.unread.known_until = UINT64_MAX;
	if (!maps_open_of(other.reader, pid))
		return false;
	other.pid = pid;
	read_lines(&other.theirs);
	other.is_alike &= other.theirs.count == other.ours.count;
	return other.theirs.count > 0;
}

bool other_is_open(int pid)
{
	return other.pid == pid;
}

/* What looks like code of ours and is none there leads nowhere either. */
uint64_t other_here(uint64_t pc)
{
	const struct line *l;

	if (other.is_alike)
		return pc;
	l = find(&other.theirs, pc);
	if (l)
		return l->here ? l->here + (pc - l->start) : OTHER_NOWHERE;
	return find(&other.ours, pc) || guest_find(pc) ? OTHER_NOWHERE : pc;
}

/* The first of these ranges that ends behind `at`; NULL: none. */
static const struct unread_range *next_unread(uint64_t at)
{
	const struct unread *u = &other.unread;
	size_t i =
		u->count ? sort_lower_bound_in(&u->list->limit, sizeof(*u->list), u->count, at + 1)
			 : 0;

	return i < u->count ? &u->list[i] : NULL;
}

/* How many bytes from `at` on may be read, `len` at most. */
static size_t readable(uint64_t at, size_t len)
{
	const struct unread_range *r = next_unread(at);
	uint64_t limit = r ? MIN(r->start, other.unread.known_until) : other.unread.known_until;

	return at < limit ? MIN(len, limit - at) : 0;
}

size_t other_read_some(uint64_t at, void *to, size_t len)
{
	size_t most = readable(at, len);

	return most ? peek_some_of(other.pid, at, to, most) : 0;
}

bool other_read(uint64_t at, void *to, size_t len)
{
	return other_read_some(at, to, len) == len;
}

void other_translate(uint64_t *word, size_t count)
{
	for (size_t i = 0; !other.is_alike && i < count; i++)
		word[i] = other_here(word[i]);
}

size_t other_copy_stack(uint64_t at, void *to, size_t len)
{
	size_t got = other_read_some(at, to, len);

	other_translate(to, got / sizeof(uint64_t));
	return got;
}

static bool has_code_of(const struct line *theirs, const struct line *ours, uint64_t offset)
{
	return same_file(ours, theirs) && offset >= theirs->offset &&
	       offset - theirs->offset < theirs->limit - theirs->start;
}

bool other_distance(uint64_t code, uint64_t *distance)
{
	const struct line *ours = find(&other.ours, code);
	uint64_t offset = ours ? code - ours->start + ours->offset : 0;

	for (size_t i = 0; ours && i < other.theirs.count; i++) {
		const struct line *l = &other.theirs.list[i];

		if (!has_code_of(l, ours, offset))
			continue;
		*distance = l->start + (offset - l->offset) - code;
		return true;
	}
	return false;
}

void other_end(void (*gone)(const struct module *m))
{
	if (--other.users)
		return;
	guests_release(gone);
	arena_release(&other.arena);
	other_after_fork();
}

void other_after_fork(void)
{
	memset(&other, 0, sizeof(other));
}
