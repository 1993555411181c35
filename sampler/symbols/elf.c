#include "sampler/symbols/elf.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/elf_notes.h"
#include "sampler/process/kept_files.h"
#include "sampler/process/peek.h"

#define NAMES_BYTES_MAX (1UL << 20) /* of the section name table */
#define NOTES_BYTES_MAX 4096UL	    /* searched in one section or segment */
#define SEGMENTS_MAX	1024

static long pread_once(int fd, void *to, size_t len, uint64_t offset)
{
	long n;

	do
		n = sys_pread(fd, to, len, offset);
	while (n == -EINTR);
	return n;
}

static size_t pread_all(int fd, uint64_t offset, char *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		long n = pread_once(fd, to + done, len - done, offset + done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

size_t elf_read_some(const struct elf_reader *in, uint64_t offset, void *to, size_t len)
{
	if (offset >= in->size)
		return 0;
	len = MIN(len, in->size - offset);
	if (in->fd >= 0)
		return pread_all(in->fd, offset, to, len);
	return peek(in->base + offset, to, len) ? len : 0;
}

bool elf_read(const struct elf_reader *in, uint64_t offset, void *to, size_t len)
{
	return len == 0 || elf_read_some(in, offset, to, len) == len;
}

static bool is_our_kind(const Elf64_Ehdr *h)
{
	return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
	       h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_machine == ARCH_ELF_MACHINE;
}

/* With 65280 sections or more, the count stands in section 0. */
static uint64_t count_sections(const struct elf *e)
{
	Elf64_Shdr first;

	if (e->header.e_shoff == 0 || e->header.e_shentsize != sizeof(first))
		return 0;
	if (e->header.e_shnum)
		return e->header.e_shnum;
	return elf_read(&e->in, e->header.e_shoff, &first, sizeof(first)) ? first.sh_size : 0;
}

static void read_sections(struct elf *e, struct arena *a)
{
	uint64_t count = count_sections(e);
	Elf64_Shdr *table;

	if (count == 0 || count > ELF_SECTIONS_MAX || count * sizeof(*table) > e->in.size)
		return;
	table = arena_array(a, count, sizeof(*table));
	if (!table || !elf_read(&e->in, e->header.e_shoff, table, count * sizeof(*table)))
		return;
	e->section = table;
	e->section_count = (uint32_t)count;
}

static const Elf64_Shdr *section_of_names(const struct elf *e)
{
	uint32_t index = e->header.e_shstrndx;

	if (index == SHN_XINDEX && e->section_count)
		index = e->section[0].sh_link;
	return index < e->section_count ? &e->section[index] : NULL;
}

static void read_names(struct elf *e, struct arena *a)
{
	const Elf64_Shdr *s = section_of_names(e);
	char *names;

	if (!s || !elf_section_is_whole(e, s) || s->sh_size > NAMES_BYTES_MAX)
		return;
	names = arena_alloc(a, s->sh_size + 1);
	if (!names || !elf_read(&e->in, s->sh_offset, names, s->sh_size))
		return;
	e->names = names;
	e->names_size = s->sh_size;
}

static bool read_tables(struct elf *e, struct arena *a)
{
	if (!elf_read(&e->in, 0, &e->header, sizeof(e->header)) || !is_our_kind(&e->header))
		return false;
	read_sections(e, a);
	read_names(e, a);
	return true;
}

static bool regular_file_size(int fd, uint64_t *size)
{
	struct stat st;

	if (sys_call3(SYS_fstat, fd, (long)&st, 0) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
		return false;
	*size = (uint64_t)st.st_size;
	return true;
}

static void forget(struct elf *e)
{
	memset(e, 0, sizeof(*e));
	e->in.fd = -1;
}

bool elf_open_fd(struct elf *e, struct arena *a, int fd)
{
	memset(e, 0, sizeof(*e));
	e->in.fd = fd;
	if (regular_file_size(fd, &e->in.size) && read_tables(e, a))
		return true;
	sys_close(fd);
	forget(e);
	return false;
}

bool elf_open(struct elf *e, struct arena *a, const char *path)
{
	int fd = kept_root_open_read(path);

	if (fd >= 0)
		return elf_open_fd(e, a, fd);
	forget(e);
	return false;
}

bool elf_open_memory(struct elf *e, struct arena *a, uint64_t base, uint64_t size)
{
	memset(e, 0, sizeof(*e));
	e->in = (struct elf_reader){ .fd = -1, .base = base, .size = size };
	if (read_tables(e, a))
		return true;
	forget(e);
	return false;
}

bool elf_path(const struct elf *e, char *to, size_t size)
{
	static const char unreachable[] =
		"(unreachable)"; /* from the root that the program has now */
	char link[64];
	struct text t = TEXT_INIT(link);

	to[0] = '\0';
	text_str(&t, "/proc/thread-self/fd/");
	text_i64(&t, e->in.fd);
	if (e->in.fd < 0 || !kept_root_read_link(link, to, size))
		return false;
	if (strncmp(to, unreachable, sizeof(unreachable) - 1) == 0)
		memmove(to, to + sizeof(unreachable) - 1,
			strlen(to) + 1 - (sizeof(unreachable) - 1));
	return to[0] == '/';
}

/* What could be opened is not empty; a size of 0 owns no descriptor. */
void elf_close(struct elf *e)
{
	if (e->in.size && e->in.fd >= 0)
		sys_close(e->in.fd);
	forget(e);
}

const char *elf_section_name(const struct elf *e, const Elf64_Shdr *s)
{
	return s->sh_name < e->names_size ? e->names + s->sh_name : "";
}

const Elf64_Shdr *elf_section(const struct elf *e, const char *name)
{
	for (uint32_t i = 1; i < e->section_count; i++)
		if (strcmp(elf_section_name(e, &e->section[i]), name) == 0)
			return &e->section[i];
	return NULL;
}

const Elf64_Shdr *elf_section_of_type(const struct elf *e, uint32_t type)
{
	for (uint32_t i = 1; i < e->section_count; i++)
		if (e->section[i].sh_type == type)
			return &e->section[i];
	return NULL;
}

bool elf_section_is_whole(const struct elf *e, const Elf64_Shdr *s)
{
	return s->sh_type != SHT_NOBITS && s->sh_offset <= e->in.size &&
	       s->sh_size <= e->in.size - s->sh_offset;
}

static size_t build_id_at(const struct elf *e, uint64_t offset, uint64_t size, uint64_t align,
			  uint8_t id[BUILD_ID_MAX])
{
	uint8_t bytes[NOTES_BYTES_MAX];
	struct elf_notes notes = {
		.bytes = bytes,
		.len = elf_read_some(&e->in, offset, bytes, MIN(size, sizeof(bytes))),
		.align = align,
	};
	struct elf_note n;

	while (elf_notes_next(&notes, &n)) {
		if (elf_note_is(&n, NT_GNU_BUILD_ID, "GNU") && n.desc_len <= BUILD_ID_MAX) {
			memcpy(id, n.desc, n.desc_len);
			return n.desc_len;
		}
	}
	return 0;
}

static size_t build_id_in_sections(const struct elf *e, uint8_t id[BUILD_ID_MAX])
{
	size_t len = 0;

	for (uint32_t i = 1; i < e->section_count && !len; i++)
		if (e->section[i].sh_type == SHT_NOTE)
			len = build_id_at(e, e->section[i].sh_offset, e->section[i].sh_size,
					  e->section[i].sh_addralign, id);
	return len;
}

static bool read_segment(const struct elf *e, uint32_t i, Elf64_Phdr *ph)
{
	uint64_t at;

	if (e->header.e_phentsize != sizeof(*ph))
		return false;
	return !__builtin_add_overflow(e->header.e_phoff, i * sizeof(*ph), &at) &&
	       elf_read(&e->in, at, ph, sizeof(*ph));
}

static size_t build_id_in_segments(const struct elf *e, uint8_t id[BUILD_ID_MAX])
{
	size_t len = 0;
	Elf64_Phdr ph;

	for (uint32_t i = 0; i < MIN(e->header.e_phnum, SEGMENTS_MAX) && !len; i++)
		if (read_segment(e, i, &ph) && ph.p_type == PT_NOTE)
			len = build_id_at(e, ph.p_offset, ph.p_filesz, ph.p_align, id);
	return len;
}

/* Sections first: the segments of a separate debug file point nowhere. */
size_t elf_build_id(const struct elf *e, uint8_t id[BUILD_ID_MAX])
{
	size_t len = build_id_in_sections(e, id);

	return len ? len : build_id_in_segments(e, id);
}

static bool has_segments_of(const struct elf *e, const struct module *m)
{
	Elf64_Phdr file, memory;

	if (m->phdr_count == 0 || m->phdr_count > SEGMENTS_MAX ||
	    e->header.e_phnum != m->phdr_count)
		return false;
	for (uint32_t i = 0; i < m->phdr_count; i++)
		if (!read_segment(e, i, &file) ||
		    !peek(m->phdr + i * sizeof(memory), &memory, sizeof(memory)) ||
		    memcmp(&file, &memory, sizeof(file)) != 0)
			return false;
	return true;
}

bool elf_is_module(const struct elf *e, const struct module *m)
{
	uint8_t id[BUILD_ID_MAX];

	if (m->build_id_len)
		return elf_build_id(e, id) == m->build_id_len &&
		       memcmp(id, m->build_id, m->build_id_len) == 0;
	return has_segments_of(e, m);
}
