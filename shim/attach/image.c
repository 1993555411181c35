#include "shim/attach/image.h"

#include <ctype.h>
#include <elf.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "shim/attach/proc.h"

#define SEGMENTS_MAX 64
#define DYNAMIC_MAX  128
#define NAME_MAX_LEN 64
#define SYMBOLS_MAX  (1U << 20)
#define OBJECTS_MAX  65536

/* glibc relocates these pointers in place. */
static uint64_t pointer(const struct image *im, uint64_t value)
{
	return value < im->bias ? im->bias + value : value;
}

static void note_dynamic(struct image *im, const Elf64_Dyn *d)
{
	uint64_t at = pointer(im, d->d_un.d_ptr);

	if (d->d_tag == DT_SYMTAB)
		im->symbols = at;
	else if (d->d_tag == DT_STRTAB)
		im->strings = at;
	else if (d->d_tag == DT_HASH)
		im->hash = at;
	else if (d->d_tag == DT_GNU_HASH)
		im->gnu_hash = at;
}

static bool read_dynamic(struct image *im, const Elf64_Phdr *p)
{
	Elf64_Dyn d[DYNAMIC_MAX] = { 0 };
	size_t bytes = MIN(sizeof(d), p->p_memsz);

	if (!memory_read(im->pid, im->bias + p->p_vaddr, d, bytes))
		return false;
	for (size_t i = 0; i < DYNAMIC_MAX && d[i].d_tag != DT_NULL; i++)
		note_dynamic(im, &d[i]);
	return im->symbols && im->strings && (im->hash || im->gnu_hash);
}

/* The first segment's address in the file tells how far all was moved. */
static bool read_segments(struct image *im, const Elf64_Phdr *p, size_t count)
{
	size_t i = 0;

	while (i < count && p[i].p_type != PT_LOAD)
		i++;
	if (i == count)
		return false;
	im->bias = im->start - ALIGN_DOWN(p[i].p_vaddr, 4096UL);
	for (i = 0; i < count && p[i].p_type != PT_DYNAMIC; i++)
		;
	return i < count && read_dynamic(im, &p[i]);
}

bool image_open(struct image *im, int pid, uint64_t start)
{
	Elf64_Phdr p[SEGMENTS_MAX];
	Elf64_Ehdr e;

	*im = (struct image){ .pid = pid, .start = start };
	return memory_read(pid, start, &e, sizeof(e)) && memcmp(e.e_ident, ELFMAG, SELFMAG) == 0 &&
	       e.e_ident[EI_CLASS] == ELFCLASS64 && e.e_phentsize == sizeof(*p) &&
	       e.e_phnum <= SEGMENTS_MAX &&
	       memory_read(pid, start + e.e_phoff, p, e.e_phnum * sizeof(*p)) &&
	       read_segments(im, p, e.e_phnum);
}

static bool is_match(const struct image *im, uint32_t i, const char *name, Elf64_Sym *s)
{
	char found[NAME_MAX_LEN];
	size_t len = strlen(name) + 1;

	return memory_read(im->pid, im->symbols + i * sizeof(*s), s, sizeof(*s)) &&
	       s->st_shndx != SHN_UNDEF && len <= sizeof(found) &&
	       memory_read(im->pid, im->strings + s->st_name, found, len) &&
	       memcmp(found, name, len) == 0;
}

/* djb2, as the GNU hash section is defined. */
static uint32_t gnu_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

/* Layout: bucket count, first symbol, bloom words (8 bytes each), shift; bloom, buckets, chain. */
static bool find_gnu(const struct image *im, const char *name, Elf64_Sym *s)
{
	uint32_t head[4], i, entry, hash = gnu_hash(name);
	uint64_t buckets, chain;

	if (!memory_read(im->pid, im->gnu_hash, head, sizeof(head)) || head[0] == 0)
		return false;
	buckets = im->gnu_hash + sizeof(head) + head[2] * 8UL;
	chain = buckets + head[0] * sizeof(i);
	if (!memory_read(im->pid, buckets + hash % head[0] * sizeof(i), &i, sizeof(i)))
		return false;
	for (; i && i >= head[1] && i < SYMBOLS_MAX; i++) {
		if (!memory_read(im->pid, chain + (i - head[1]) * sizeof(entry), &entry,
				 sizeof(entry)))
			return false;
		if ((entry | 1) == (hash | 1) && is_match(im, i, name, s))
			return true;
		if (entry & 1)
			return false;
	}
	return false;
}

/* The second word of the old hash section is the number of symbols. */
static bool find_sysv(const struct image *im, const char *name, Elf64_Sym *s)
{
	uint32_t head[2];

	if (!memory_read(im->pid, im->hash, head, sizeof(head)))
		return false;
	for (uint32_t i = 1; i < MIN(head[1], SYMBOLS_MAX); i++) {
		if (is_match(im, i, name, s))
			return true;
	}
	return false;
}

uint64_t image_find(const struct image *im, const char *name, uint64_t *size)
{
	Elf64_Sym s;

	if (!(im->gnu_hash ? find_gnu(im, name, &s) : find_sysv(im, name, &s)))
		return 0;
	if (size)
		*size = s.st_size;
	return im->bias + s.st_value;
}

struct search {
	const char *name;
	struct image *im;
	uint64_t bias;
	bool is_listed, is_found;
};

static bool is_named(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(name);

	if (!slash)
		return false;
	slash += strncmp(slash, "/memfd:", 7) == 0 ? 7 : 1;
	return strncmp(slash, name, len) == 0 && !isalnum((unsigned char)slash[len]);
}

static bool look_at_mapping(const struct mapping *m, void *arg)
{
	struct search *s = arg;

	if (m->offset == 0 && is_named(m->path, s->name) && image_open(s->im, s->im->pid, m->start))
		s->is_found = !s->is_listed || s->im->bias == s->bias;
	return !s->is_found;
}

static bool find_mapping(struct search *s)
{
	proc_each_mapping(s->im->pid, look_at_mapping, s);
	return s->is_found;
}

/* The first of the loader's list of the program's own objects; 0: not to be had. */
static uint64_t first_listed(int pid)
{
	struct image loader = { .pid = pid };
	struct r_debug debug;
	uint64_t at;

	if (!find_mapping(&(struct search){ .name = "ld-linux", .im = &loader }))
		return 0;
	at = image_find(&loader, "_r_debug", NULL);
	return at && memory_read(pid, at, &debug, sizeof(debug)) ? (uint64_t)debug.r_map : 0;
}

/*
 * Of one that is there more than once the one that the program calls: other namespaces have
 * their own (dlmopen, LD_AUDIT), and who reads a file maps it.
 */
static void find_listed(struct search *s)
{
	uint64_t at = first_listed(s->im->pid);
	char path[PATH_MAX];
	struct link_map l;

	for (int i = 0; i < OBJECTS_MAX && at && !s->is_listed; i++) {
		if (!memory_read(s->im->pid, at, &l, sizeof(l)))
			return;
		if (memory_read_string(s->im->pid, (uint64_t)l.l_name, path, sizeof(path)))
			s->is_listed = is_named(path, s->name);
		s->bias = l.l_addr;
		at = (uint64_t)l.l_next;
	}
}

bool image_find_loaded(struct image *im, int pid, const char *name)
{
	struct search s = { .name = name, .im = im };

	*im = (struct image){ .pid = pid };
	find_listed(&s);
	return find_mapping(&s);
}
