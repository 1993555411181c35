/*
 * jitdump, as linux/tools/perf/Documentation/jitdump-specification.txt has it: a header,
 * then records, each with its own size.  Code itself is skipped.  A record that is being
 * written ends the file.
 */
#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/symbols/jit_search.h"

#define MAGIC	     0x4a695444U
#define RECORDS_MAX  (1UL << 20)
#define MOVES_MAX    256 /* followed; each reads the file from its beginning */
#define NAME_BYTES   4096
#define LINE_ENTRIES 65536

enum record { CODE_LOAD, CODE_MOVE, DEBUG_INFO, CLOSE };

struct file_head {
	uint32_t magic, version, size, machine, unused, pid;
	uint64_t time, flags;
};

struct record_head {
	uint32_t id, size;
	uint64_t time;
};

struct load {
	struct record_head head;
	uint32_t pid, tid;
	uint64_t vma, start, size, index;
};

struct move {
	struct record_head head;
	uint32_t pid, tid;
	uint64_t vma, from, start, size, index;
};

struct debug {
	struct record_head head;
	uint64_t start, count;
};

/* In front of each file name; a name of 0xff and NUL is the one before. */
struct debug_entry {
	uint64_t address;
	uint32_t line, discriminator;
};

struct dump {
	struct jit_search *s;
	int fd;
	uint64_t end;
	unsigned moves;
};

static bool read_at(const struct dump *d, uint64_t at, void *to, size_t len)
{
	return at <= d->end && len <= d->end - at && sys_pread(d->fd, to, len, at) == (long)len;
}

/* The record at `at`; false at the end. */
static bool read_record(const struct dump *d, uint64_t at, struct record_head *h)
{
	return read_at(d, at, h, sizeof(*h)) && h->size >= sizeof(*h) && h->size <= d->end - at;
}

/* Bytes of the text at `at`, without its NUL. */
static size_t read_name(const struct dump *d, uint64_t at, uint64_t limit, char name[NAME_BYTES])
{
	long n = at < limit ? sys_pread(d->fd, name, MIN(limit - at, NAME_BYTES), at) : 0;

	return n > 0 ? strnlen(name, (size_t)n) : 0;
}

/* What one record of lines has been read to. */
struct lines {
	uint64_t at, limit; /* of what is in the block: in the file */
	size_t used, len;
	const char *file; /* interned by hand: runs of entries share one */
};

static bool fill(struct dump *d, struct lines *l)
{
	size_t left = l->len - l->used;
	long n;

	memmove(d->s->block, d->s->block + l->used, left);
	l->used = 0;
	l->len = left;
	n = sys_pread(d->fd, d->s->block + left, MIN(JIT_BLOCK_BYTES - left, l->limit - l->at),
		      l->at);
	if (n <= 0)
		return false;
	l->at += (uint64_t)n;
	l->len += (size_t)n;
	return true;
}

/* The next entry and its file name (in the block); NULL at the end. */
static const char *next_line(struct dump *d, struct lines *l, struct debug_entry *e)
{
	const char *name, *end;

	if (l->len - l->used < sizeof(*e) + NAME_BYTES)
		fill(d, l);
	if (l->len - l->used <= sizeof(*e))
		return NULL;
	memcpy(e, d->s->block + l->used, sizeof(*e));
	name = d->s->block + l->used + sizeof(*e);
	end = memchr(name, '\0', (size_t)(d->s->block + l->len - name));
	l->used = end ? (size_t)(end + 1 - d->s->block) : l->len;
	return end ? name : NULL;
}

static const char *keep_file(struct jit_search *s, const char *last, const char *name)
{
	size_t len = strlen(name);
	const char *copy;

	if ((unsigned char)name[0] == 0xff || (last && strcmp(last, name) == 0))
		return last;
	if (len > s->name_bytes_left)
		return last;
	s->name_bytes_left -= len;
	copy = arena_strndup(s->arena, name, len);
	return copy ? copy : last;
}

/* Entries ascend: an address has the last line that begins at or before it. */
static void set_lines(struct dump *d, const struct debug *r, uint64_t at, const char *name,
		      size_t first, size_t n)
{
	struct lines l = { .at = at + sizeof(*r), .limit = at + r->head.size };
	struct jit_search *s = d->s;
	struct debug_entry e;
	const char *path;

	for (uint64_t k = 0; k < MIN(r->count, LINE_ENTRIES) && (path = next_line(d, &l, &e));
	     k++) {
		bool any = false;

		for (size_t i = first; i < first + n && !any; i++)
			any = s->pc[i] >= e.address;
		if (!any)
			break;
		l.file = keep_file(s, l.file, path);
		for (size_t i = first; l.file && i < first + n; i++)
			if (s->pc[i] >= e.address && s->frame[i].name == name) {
				s->frame[i].file = l.file;
				s->frame[i].line = e.line;
			}
	}
}

static void take_lines(struct dump *d, uint64_t debug_at, uint64_t start, const char *name,
		       size_t first, size_t n)
{
	struct debug r;

	if (read_at(d, debug_at, &r, sizeof(r)) && r.start == start &&
	    r.head.size <= d->end - debug_at)
		set_lines(d, &r, debug_at, name, first, n);
}

static bool add(struct dump *d, uint64_t start, uint64_t size, uint64_t at, uint64_t lines)
{
	const struct jit_entry e = { .start = start,
				     .at = at,
				     .size = (uint32_t)MIN(size, (uint64_t)UINT32_MAX),
				     .lines = lines > UINT32_MAX ? 0 : (uint32_t)lines };

	return size == 0 || jit_index_add(d->s->index, &e);
}

static bool take_load(struct dump *d, uint64_t at)
{
	uint64_t *lines_at = &d->s->index->lines_at, lines = *lines_at ? at - *lines_at : 0;
	struct load l;

	if (!read_at(d, at, &l, sizeof(l)) || l.head.size < sizeof(l))
		return true;
	*lines_at = 0;
	return add(d, l.start, l.size, at, lines);
}

/* Where the code of that index was loaded, before `end`; 0: nowhere. */
static uint64_t find_load(const struct dump *d, uint64_t at, uint64_t end, uint64_t index,
			  struct load *l)
{
	struct record_head h;

	for (; at < end && read_record(d, at, &h); at += h.size)
		if (h.id == CODE_LOAD && h.size >= sizeof(*l) && read_at(d, at, l, sizeof(*l)) &&
		    l->index == index)
			return at;
	return 0;
}

static bool take_move(struct dump *d, uint64_t at, uint64_t records)
{
	struct move m;
	struct load l;
	uint64_t load_at;

	if (!read_at(d, at, &m, sizeof(m)) || m.head.size < sizeof(m))
		return true;
	if (d->moves++ == MOVES_MAX)
		return false;
	load_at = find_load(d, records, at, m.index, &l);
	return !load_at || add(d, m.start, m.size, load_at, 0);
}

static bool take_record(struct dump *d, uint64_t at, uint32_t id, uint64_t records)
{
	if (id == CODE_LOAD)
		return take_load(d, at);
	if (id == CODE_MOVE)
		return take_move(d, at, records);
	if (id == DEBUG_INFO)
		d->s->index->lines_at = at;
	return true;
}

static bool read_head(const struct dump *d, struct file_head *f)
{
	return read_at(d, 0, f, sizeof(*f)) && f->magic == MAGIC && f->size >= sizeof(*f) &&
	       f->machine == ARCH_ELF_MACHINE && f->pid == (uint32_t)sys_getpid();
}

static bool read_dump(struct jit_search *s, uint64_t size, uint64_t *read_to)
{
	struct dump d = { .s = s, .fd = s->fd, .end = size };
	struct file_head f;
	struct record_head h;

	if (!read_head(&d, &f))
		return false;
	*read_to = MAX(s->index->read_to, (uint64_t)f.size);
	for (size_t i = 0; i < RECORDS_MAX; i++, *read_to += h.size) {
		if (!read_record(&d, *read_to, &h) || h.id == CLOSE)
			return true;
		if (!take_record(&d, *read_to, h.id, f.size) ||
		    (i % 256 == 255 && sys_now_ns() > s->deadline_ns))
			return false;
	}
	return false;
}

static bool name_entry(struct jit_search *s, const struct jit_entry *e, size_t first, size_t count)
{
	struct dump d = { .s = s, .fd = s->fd, .end = s->index->read_to };
	char name[NAME_BYTES];
	const char *kept;
	struct load l;
	size_t len;

	if (!read_at(&d, e->at, &l, sizeof(l)))
		return true;
	len = read_name(&d, e->at + sizeof(l), e->at + l.head.size, name);
	if (!jit_search_name(s, first, count, name, len, &kept))
		return false;
	if (kept && e->lines)
		take_lines(&d, e->at - e->lines, l.start, kept, first, count);
	return true;
}

const struct jit_reader jitdump_reader = { read_dump, name_entry };
