#include "sampler/process/guests.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/kept_files.h"
#include "sampler/process/module_read.h"
#include "sampler/process/peek.h"

/* Larger files are left out: it is address space of the program's. */
#define GUEST_BYTES_MAX (1UL << 30)
#define HEAD_MAX	4096

struct guest {
	struct module_image image;
	uint64_t device, inode;
	void *at; /* NULL: it could not be mapped, which is not tried again */
	size_t size;
};

static struct {
	struct guest *list; /* GUESTS_MAX */
	size_t count;
} guests;

/* ---- one file */

struct headers {
	Elf64_Ehdr ehdr;
	const Elf64_Phdr *ph;
	uint64_t start, limit; /* of what is loaded, as in the file's addresses */
};

/* Around the end of all addresses, too: all that is mapped lies within what is reserved. */
static bool widen(struct headers *h, const Elf64_Phdr *ph)
{
	uint64_t limit = ph->p_vaddr + ph->p_memsz;

	if (limit < ph->p_vaddr || limit > UINT64_MAX - PAGE_BYTES)
		return false;
	h->start = MIN(h->start, ALIGN_DOWN(ph->p_vaddr, PAGE_BYTES));
	h->limit = MAX(h->limit, ALIGN_UP(limit, PAGE_BYTES));
	return true;
}

/* `bytes` are aligned as a page is. */
static bool read_headers(struct headers *h, const uint8_t *bytes, size_t len)
{
	memcpy(&h->ehdr, bytes, sizeof(h->ehdr));
	if (len < HEAD_MAX || memcmp(bytes, ELFMAG, SELFMAG) != 0 ||
	    h->ehdr.e_ident[EI_CLASS] != ELFCLASS64 || h->ehdr.e_phentsize != sizeof(Elf64_Phdr) ||
	    h->ehdr.e_phoff % 8 || h->ehdr.e_phoff >= HEAD_MAX ||
	    h->ehdr.e_phnum > (HEAD_MAX - h->ehdr.e_phoff) / sizeof(Elf64_Phdr))
		return false;
	h->ph = (const Elf64_Phdr *)(bytes + h->ehdr.e_phoff);
	h->start = UINT64_MAX;
	h->limit = 0;
	for (size_t i = 0; i < h->ehdr.e_phnum; i++) {
		if (h->ph[i].p_type == PT_LOAD && !widen(h, &h->ph[i]))
			return false;
	}
	return h->start < h->limit && h->limit - h->start <= GUEST_BYTES_MAX;
}

/* What the process may have changed is not taken from the file. */
static bool map_segment(uint64_t bias, const Elf64_Phdr *ph, int fd)
{
	uint64_t skew = ph->p_vaddr % PAGE_BYTES;
	long at = (long)(bias + ph->p_vaddr - skew);
	long len = (long)ALIGN_UP(ph->p_filesz + skew, PAGE_BYTES);

	if (ph->p_type != PT_LOAD || ph->p_flags & PF_W || !ph->p_filesz)
		return true;
	if (ph->p_filesz > ph->p_memsz || ph->p_offset % PAGE_BYTES != skew)
		return false;
	if (sys_failed(sys_call6(SYS_mmap, at, len, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd,
				 (long)(ph->p_offset - skew))))
		return false;
	sys_call3(SYS_madvise, at, len, MADV_DONTFORK);
	sys_call3(SYS_madvise, at, len, MADV_DONTDUMP);
	return true;
}

/* The file may begin elsewhere, and change at any time. */
static bool has_headers(const struct module *m, const struct headers *h)
{
	uint8_t bytes[HEAD_MAX];
	size_t len = m->phdr_count * sizeof(Elf64_Phdr);

	return peek(m->phdr, bytes, len) && memcmp(bytes, h->ph, len) == 0;
}

static bool map_file(struct guest *g, const struct headers *h, int fd)
{
	uint64_t bias;
	bool ok = true;

	g->size = h->limit - h->start;
	g->at = sys_map(g->size);
	if (!g->at)
		return false;
	bias = (uint64_t)g->at - h->start;
	for (size_t i = 0; ok && i < h->ehdr.e_phnum; i++)
		ok = map_segment(bias, &h->ph[i], fd);
	module_image_init(&g->image, bias);
	g->image.m.phdr = (uint64_t)g->at + h->ehdr.e_phoff;
	g->image.m.phdr_count = h->ehdr.e_phnum;
	return ok && has_headers(&g->image.m, h) && module_read_segments(&g->image.m);
}

/*
 * What is read in it steers libunwind, so where we are root nobody else may have written it: who
 * works for root would choose.  Another user looks at processes of its own only.
 */
static bool is_trusted(int fd)
{
	struct stat st;

	if (sys_call3(SYS_fstat, fd, (long)&st, 0) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (sys_call3(SYS_geteuid, 0, 0, 0) != 0)
		return true;
	return st.st_uid == 0 && !(st.st_mode & S_IWOTH) &&
	       (!(st.st_mode & S_IWGRP) || st.st_gid == 0);
}

/* Another file may be at its path by now; the same one begins with the same bytes. */
static bool open_guest(struct guest *g, const struct guest_file *f)
{
	static _Alignas(64) uint8_t head[HEAD_MAX];
	int fd = kept_root_open_read(f->path);
	struct headers h;
	bool ok = fd >= 0 && is_trusted(fd) && f->head_len == sizeof(head) &&
		  sys_pread(fd, head, sizeof(head), 0) == (long)sizeof(head) &&
		  memcmp(head, f->head, sizeof(head)) == 0 &&
		  read_headers(&h, head, sizeof(head)) && map_file(g, &h, fd);

	if (fd >= 0)
		sys_close(fd);
	if (!ok)
		return false;
	memcpy(g->image.path, f->path, MIN(strlen(f->path), (size_t)MODULE_PATH_MAX - 1));
	return true;
}

static void close_guest(struct guest *g)
{
	if (g->at)
		sys_unmap(g->at, g->size);
	g->at = NULL;
}

/* ---- all of them */

static bool has_room(void)
{
	if (!guests.list)
		guests.list = sys_map(GUESTS_MAX * sizeof(*guests.list));
	return guests.list && guests.count < GUESTS_MAX;
}

/* Where new memory is resident at once, whole files would be. */
struct module *guest_meet(const struct guest_file *f)
{
	struct guest *g;

	for (size_t i = 0; i < guests.count; i++) {
		g = &guests.list[i];
		if (g->device == f->device && g->inode == f->inode)
			return g->at ? &g->image.m : NULL;
	}
	if (sys_is_locked() || !has_room())
		return NULL;
	g = &guests.list[guests.count++];
	g->device = f->device;
	g->inode = f->inode;
	if (open_guest(g, f))
		return &g->image.m;
	close_guest(g);
	return NULL;
}

static bool has_code_at(const struct guest *g, uint64_t pc)
{
	const struct module_range *r = g->image.range;

	for (uint32_t i = 0; g->at && i < g->image.m.range_count; i++)
		if (pc >= r[i].start && pc < r[i].limit)
			return true;
	return false;
}

const struct module *guest_find(uint64_t pc)
{
	for (size_t i = 0; i < guests.count; i++)
		if (has_code_at(&guests.list[i], pc))
			return &guests.list[i].image.m;
	return NULL;
}

void guests_release(void (*gone)(const struct module *m))
{
	for (size_t i = 0; i < guests.count; i++) {
		if (guests.list[i].at)
			gone(&guests.list[i].image.m);
		close_guest(&guests.list[i]);
	}
	if (guests.list)
		sys_unmap(guests.list, GUESTS_MAX * sizeof(*guests.list));
	guests_after_fork();
}

void guests_after_fork(void)
{
	guests.list = NULL;
	guests.count = 0;
}
