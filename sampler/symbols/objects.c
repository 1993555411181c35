#include "sampler/symbols/objects.h"

#include <string.h>

#include "sampler/base/counters.h"
#include "sampler/symbols/debugfile.h"

static bool open_if_same(struct elf *e, struct arena *a, const struct module *m, const char *path)
{
	if (!elf_open(e, a, path))
		return false;
	if (elf_is_module(e, m))
		return true;
	elf_close(e);
	return false;
}

/* A relative one is from where the program was then: believed with a build id alone. */
static bool may_be_at_path(const struct module *m)
{
	return m->path[0] == '/' || (m->path[0] && m->build_id_len);
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
	return (m->is_main && open_if_same(e, a, m, "/proc/self/exe")) ||
	       (may_be_at_path(m) && open_if_same(e, a, m, m->path));
}

static bool describes_itself(const struct elf *e)
{
	return elf_section_of_type(e, SHT_SYMTAB) && elf_section(e, ".debug_info");
}

void objects_open(struct objects *o, struct arena *a, const struct module *m)
{
	memset(o, 0, sizeof(*o));
	o->has_file = open_file(&o->file, a, m);
	if (!o->has_file)
		counter_add(COUNTER_SYMBOL_FILES_REFUSED, 1);
	if (o->has_file && !m->is_vdso && !describes_itself(&o->file))
		o->has_debug = debugfile_open(&o->debug, a, &o->file, m->path);
}

void objects_close(struct objects *o)
{
	elf_close(&o->file);
	elf_close(&o->debug);
}
