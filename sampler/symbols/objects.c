#include "sampler/symbols/objects.h"

#include <string.h>
#include <sys/stat.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/process/kept_files.h"
#include "sampler/process/mapped_file.h"
#include "sampler/symbols/debugfile.h"
#include "sampler/symbols/dwarf_section.h"
#include "sampler/symbols/unpack.h"

/* An ELF file of little but symbols packs five times, as a rule; zeros pack any number of times. */
#define MINI_BYTES_MAX (32UL << 20)
#define MINI_RATIO     64

/* Program headers say little of a file without a build id that was built again. */
static bool is_unchanged(const struct elf *e, const struct module *m)
{
	struct stat st;

	if (m->build_id_len || m->file.size == 0)
		return true;
	return sys_call3(SYS_fstat, e->in.fd, (long)&st, 0) == 0 &&
	       (uint64_t)st.st_size == m->file.size &&
	       st.st_mtim.tv_sec * NS_PER_SECOND + st.st_mtim.tv_nsec == m->file.changed_ns;
}

static bool is_same(struct elf *e, bool opened, const struct module *m)
{
	if (opened && elf_is_module(e, m) && is_unchanged(e, m))
		return true;
	if (opened)
		elf_close(e);
	return false;
}

static bool open_kept(struct elf *e, struct arena *a, const struct module *m)
{
	int fd = kept_file_of(m);

	return fd >= 0 && is_same(e, elf_open_fd(e, a, fd), m);
}

static bool open_if_same(struct elf *e, struct arena *a, const struct module *m, const char *path)
{
	return is_same(e, elf_open(e, a, path), m);
}

/* A relative one is from where the program was then: believed with a build id alone. */
static bool may_be_at_path(const struct module *m)
{
	return m->path[0] == '/' || (m->path[0] && m->build_id_len);
}

/* A file without a name: in memory, deleted, replaced while its code runs. */
static bool open_mapped(struct elf *e, struct arena *a, const struct module *m)
{
	int fd = m->is_loaded && m->range_count ? mapped_file_open(m->range[0].start) : -1;

	bool opened = fd >= 0 && elf_open_fd(e, a, fd);

	if (opened && elf_is_module(e, m) &&
	    (m->file.size == MODULE_FILE_GONE || is_unchanged(e, m)))
		return true;
	if (opened)
		elf_close(e);
	return false;
}

/*
 * /proc/self/exe leads to the right file after a rename or an upgrade, but not
 * when the loader was run as a program; the path is for that.
 */
static bool open_file(struct elf *e, struct arena *a, const struct module *m)
{
	if (m->is_vdso)
		return m->ehdr && m->image_limit > m->ehdr &&
		       elf_open_memory(e, a, m->ehdr, m->image_limit - m->ehdr);
	return open_kept(e, a, m) ||
	       (m->is_main && open_if_same(e, a, m, "/proc/thread-self/exe")) ||
	       (may_be_at_path(m) && open_if_same(e, a, m, m->path)) || open_mapped(e, a, m);
}

static bool describes_itself(const struct elf *e)
{
	return elf_section_of_type(e, SHT_SYMTAB) && dwarf_has_info(e);
}

/* Its room is memory that is not touched until bytes come. */
static bool unpack_mini(struct objects *o, const Elf64_Shdr *s)
{
	size_t room = MIN(s->sh_size, MINI_BYTES_MAX / MINI_RATIO) * MINI_RATIO, size = 0;
	uint8_t *bytes = NULL;

	o->unpacked.limit = MINI_BYTES_MAX + (1UL << 20);
	if (elf_section_is_whole(&o->file, s))
		bytes = arena_alloc(&o->unpacked, room);
	if (bytes)
		size = unpack(PACKED_XZ, &o->file.in, s->sh_offset, s->sh_offset + s->sh_size,
			      bytes, room);
	return size && elf_open_memory(&o->mini, &o->unpacked, (uint64_t)bytes, size);
}

static bool wants_mini(const struct objects *o)
{
	return elf_section(&o->file, ".gnu_debugdata") &&
	       !elf_section_of_type(&o->file, SHT_SYMTAB) &&
	       !(o->has_debug && elf_section_of_type(&o->debug, SHT_SYMTAB));
}

void objects_open_mini(struct objects *o)
{
	if (!o->wants_mini)
		return;
	o->wants_mini = false;
	o->has_mini = unpack_mini(o, elf_section(&o->file, ".gnu_debugdata"));
	if (!o->has_mini)
		counter_add(COUNTER_SYMBOL_TABLES_REFUSED, 1);
}

void objects_open(struct objects *o, struct arena *a, const struct module *m)
{
	memset(o, 0, sizeof(*o));
	o->has_file = open_file(&o->file, a, m);
	if (!o->has_file)
		counter_add(COUNTER_SYMBOL_FILES_REFUSED, 1);
	if (o->has_file && !m->is_vdso && !describes_itself(&o->file))
		o->has_debug = debugfile_open(&o->debug, a, &o->file, m->path);
	o->wants_mini = o->has_file && wants_mini(o);
}

bool objects_find_eh_frame(const struct module *m, uint64_t *start, uint64_t *limit)
{
	struct arena a = ARENA_INIT(8UL << 20);
	const Elf64_Shdr *s = NULL;
	struct elf e;

	if (open_file(&e, &a, m)) {
		s = elf_section(&e, ".eh_frame");
		if (s && s->sh_type == SHT_NOBITS)
			s = NULL;
		*start = s ? m->bias + s->sh_addr : 0;
		*limit = s ? *start + s->sh_size : 0;
		elf_close(&e);
	}
	arena_release(&a);
	return s;
}

void objects_close(struct objects *o)
{
	elf_close(&o->file);
	elf_close(&o->debug);
	elf_close(&o->mini);
	arena_release(&o->unpacked);
}
