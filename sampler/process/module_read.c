#include "sampler/process/module_read.h"

#include <elf.h>
#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/process/peek.h"

/* An object with more program headers than this is not one that a linker made. */
#define PHDR_MAX       64
#define NOTE_BYTES_MAX 1024

bool module_read_header(struct module *m, uint64_t ehdr)
{
	Elf64_Ehdr h;

	if (!peek(ehdr, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
		return false;
	if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum == 0 || h.e_phnum > PHDR_MAX)
		return false;
	m->ehdr = ehdr;
	m->phdr = ehdr + h.e_phoff;
	m->phdr_count = h.e_phnum;
	return true;
}

static bool continues(const struct module_range *r, uint64_t start, uint64_t offset)
{
	return r->limit == start && r->offset + (r->limit - r->start) == offset;
}

/* Neighbouring executable segments become one range: clients know a file by one mapping. */
static void add_range(struct module *m, const Elf64_Phdr *ph)
{
	uint64_t start = ALIGN_DOWN(m->bias + ph->p_vaddr, PAGE_BYTES);
	uint64_t limit = ALIGN_UP(m->bias + ph->p_vaddr + ph->p_memsz, PAGE_BYTES);
	uint64_t offset = ALIGN_DOWN(ph->p_offset, PAGE_BYTES);

	if (m->range_count && continues(&m->range[m->range_count - 1], start, offset))
		m->range[m->range_count - 1].limit = limit;
	else if (m->range_count < MODULE_RANGES_MAX)
		m->range[m->range_count++] = (struct module_range){ start, limit, offset };
}

static void widen_image(struct module *m, const Elf64_Phdr *ph)
{
	uint64_t start = m->bias + ph->p_vaddr;

	m->image_start = m->image_limit ? MIN(m->image_start, start) : start;
	m->image_limit = MAX(m->image_limit, start + ph->p_memsz);
}

static void take_build_id(struct module *m, const uint8_t *id, uint32_t len)
{
	m->build_id_len = (uint8_t)MIN(len, (uint32_t)BUILD_ID_MAX);
	memcpy(m->build_id, id, m->build_id_len);
}

static bool is_build_id(const Elf64_Nhdr *n, const uint8_t *name)
{
	return n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && memcmp(name, "GNU", 4) == 0;
}

/* Go's linker leaves it in whatever holds a Go runtime. */
static bool is_go_note(const Elf64_Nhdr *n, const uint8_t *name)
{
	return n->n_type == 4 && n->n_namesz == 4 && memcmp(name, "Go\0", 4) == 0;
}

static void scan_notes(struct module *m, const uint8_t *note, uint64_t len, uint64_t align)
{
	uint64_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		uint64_t name = at + sizeof(n), desc;

		memcpy(&n, note + at, sizeof(n));
		desc = name + ALIGN_UP((uint64_t)n.n_namesz, align);
		if (desc > len || n.n_descsz > len - desc)
			return;
		if (is_build_id(&n, note + name) && m->build_id_len == 0)
			take_build_id(m, note + desc, n.n_descsz);
		m->is_go |= is_go_note(&n, note + name);
		at = desc + ALIGN_UP((uint64_t)n.n_descsz, align);
		if (at > len)
			return;
	}
}

static void read_notes(struct module *m, const Elf64_Phdr *ph)
{
	uint8_t note[NOTE_BYTES_MAX];
	uint64_t len = MIN(ph->p_memsz, sizeof(note));

	if (peek(m->bias + ph->p_vaddr, note, len))
		scan_notes(m, note, len, ph->p_align == 8 ? 8 : 4);
}

static void take_segment(struct module *m, const Elf64_Phdr *ph)
{
	switch (ph->p_type) {
	case PT_LOAD:
		widen_image(m, ph);
		if (ph->p_offset == 0 && m->ehdr == 0)
			m->ehdr = m->bias + ph->p_vaddr;
		if (ph->p_flags & PF_X)
			add_range(m, ph);
		break;
	case PT_NOTE:
		read_notes(m, ph);
		break;
	case PT_DYNAMIC:
		m->dynamic = m->bias + ph->p_vaddr;
		break;
	case PT_GNU_EH_FRAME:
		m->eh_frame_hdr = m->bias + ph->p_vaddr;
		m->eh_frame_hdr_limit = m->eh_frame_hdr + ph->p_memsz;
		break;
	default:
		break;
	}
}

bool module_read_segments(struct module *m)
{
	Elf64_Phdr ph[PHDR_MAX];
	uint32_t count = MIN(m->phdr_count, (uint32_t)PHDR_MAX);

	if (!peek(m->phdr, ph, count * sizeof(ph[0])))
		return false;
	for (uint32_t i = 0; i < count; i++)
		take_segment(m, &ph[i]);
	return m->range_count > 0;
}
