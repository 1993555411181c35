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
	uint64_t debug_at; /* the record of lines that belongs to the next load; 0: none */
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

static bool name_load(struct dump *d, uint64_t at, const struct load *l, size_t first, size_t n)
{
	char name[NAME_BYTES];
	size_t len = read_name(d, at + sizeof(*l), at + l->head.size, name);

	return len == 0 || jit_search_name(d->s, first, n, name, len);
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
static void set_lines(struct dump *d, const struct debug *r, uint64_t at, size_t first, size_t n)
{
	struct lines l = { .at = at + sizeof(*r), .limit = at + r->head.size };
	struct debug_entry e;
	const char *name;

	for (uint64_t k = 0; k < MIN(r->count, LINE_ENTRIES) && (name = next_line(d, &l, &e));
	     k++) {
		bool any = false;

		for (size_t i = first; i < first + n && !any; i++)
			any = d->s->pc[i] >= e.address;
		if (!any)
			break;
		l.file = keep_file(d->s, l.file, name);
		for (size_t i = first; l.file && i < first + n; i++)
			if (d->s->pc[i] >= e.address) {
				d->s->frame[i].file = l.file;
				d->s->frame[i].line = e.line;
			}
	}
}

static void take_lines(struct dump *d, uint64_t start, size_t first, size_t n)
{
	struct debug r;

	if (d->debug_at && read_at(d, d->debug_at, &r, sizeof(r)) && r.start == start)
		set_lines(d, &r, d->debug_at, first, n);
}

static bool take_load(struct dump *d, uint64_t at)
{
	struct load l;
	size_t first, n;

	if (!read_at(d, at, &l, sizeof(l)) || l.head.size < sizeof(l))
		return true;
	n = jit_search_covered(d->s, l.start, l.size, &first);
	if (n && !name_load(d, at, &l, first, n))
		return false;
	if (n)
		take_lines(d, l.start, first, n);
	d->debug_at = 0;
	return true;
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
	size_t first, n;

	if (!read_at(d, at, &m, sizeof(m)) || m.head.size < sizeof(m))
		return true;
	n = jit_search_covered(d->s, m.start, m.size, &first);
	if (n == 0)
		return true;
	if (d->moves++ == MOVES_MAX)
		return false;
	load_at = find_load(d, records, at, m.index, &l);
	return !load_at || name_load(d, load_at, &l, first, n);
}

bool jitdump_read(struct jit_search *s, int fd, uint64_t size)
{
	struct dump d = { .s = s, .fd = fd, .end = size };
	struct file_head f;
	struct record_head h;
	uint64_t at;

	if (!read_at(&d, 0, &f, sizeof(f)) || f.magic != MAGIC || f.size < sizeof(f) ||
	    f.machine != ARCH_ELF_MACHINE || f.pid != (uint32_t)sys_getpid())
		return false;
	at = f.size;
	for (size_t i = 0; i < RECORDS_MAX; i++, at += h.size) {
		bool more = true;

		if (!read_record(&d, at, &h) || h.id == CLOSE)
			return true;
		if (h.id == CODE_LOAD)
			more = take_load(&d, at);
		else if (h.id == CODE_MOVE)
			more = take_move(&d, at, f.size);
		else if (h.id == DEBUG_INFO)
			d.debug_at = at;
		if (!more || (i % 256 == 0 && sys_now_ns() > s->deadline_ns))
			return false;
	}
	return false;
}
