#include "test/unit/symbols/own_module.h"

#include <check.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

struct wanted {
	uint64_t pc;
	struct module *m;
};

static void take_segment(struct module *m, const ElfW(Phdr) * ph)
{
	uint64_t start = m->bias + ph->p_vaddr, limit = start + ph->p_memsz;

	if (ph->p_type == PT_DYNAMIC)
		m->dynamic = start;
	if (ph->p_type != PT_LOAD)
		return;
	m->image_start = m->image_start && m->image_start < start ? m->image_start : start;
	m->image_limit = m->image_limit > limit ? m->image_limit : limit;
	if (ph->p_offset == 0)
		m->ehdr = start;
}

static int take_module(struct dl_phdr_info *info, size_t size, void *opaque)
{
	struct wanted *w = opaque;

	(void)size;
	memset(w->m, 0, sizeof(*w->m));
	w->m->bias = info->dlpi_addr;
	w->m->phdr = (uint64_t)info->dlpi_phdr;
	w->m->phdr_count = info->dlpi_phnum;
	w->m->is_loaded = true;
	for (int i = 0; i < info->dlpi_phnum; i++)
		take_segment(w->m, &info->dlpi_phdr[i]);
	w->m->is_main = info->dlpi_name[0] == '\0';
	w->m->is_vdso = w->m->ehdr == getauxval(AT_SYSINFO_EHDR);
	w->m->path = w->m->is_vdso   ? "[vdso]"
		     : w->m->is_main ? "/somewhere/own_module"
				     : info->dlpi_name;
	return w->pc >= w->m->image_start && w->pc < w->m->image_limit;
}

struct module module_of(const void *pc)
{
	struct module m;
	struct wanted w = { .pc = (uint64_t)pc, .m = &m };

	ck_assert_msg(dl_iterate_phdr(take_module, &w), "some module holds the address");
	return m;
}
