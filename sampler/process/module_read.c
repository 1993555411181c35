#include "sampler/process/module_read.h"

#include <elf.h>
#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/process/elf_notes.h"
#include "sampler/process/mapped_file.h"
#include "sampler/process/peek.h"

/* The kernel refuses executables whose program headers take more than 64 KiB. */
#define PHDR_MAX       1170
#define PHDR_BLOCK     64 /* read at once; hardly an object has more */
#define NOTE_BYTES_MAX 4096

void module_image_init(struct module_image *im, uint64_t bias)
{
	im->m = (struct module){
		.bias = bias, .path = im->path, .build_id = im->build_id, .range = im->range
	};
	im->path[0] = '\0';
}

/* Calls `take` for each segment.  False when the headers are unreadable. */
static bool for_each_segment(struct module *m, void (*take)(struct module *, const Elf64_Phdr *))
{
	uint32_t count = MIN(m->phdr_count, (uint32_t)PHDR_MAX);
	Elf64_Phdr ph[PHDR_BLOCK];

	for (uint32_t done = 0, n; done < count; done += n) {
		n = MIN(count - done, (uint32_t)PHDR_BLOCK);
		if (!peek(m->phdr + done * sizeof(ph[0]), ph, n * sizeof(ph[0])))
			return false;
		for (uint32_t i = 0; i < n; i++)
			take(m, &ph[i]);
	}
	return true;
}

static bool read_header(struct module *m, uint64_t ehdr)
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

static void take_dynamic(struct module *m, const Elf64_Phdr *ph)
{
	if (ph->p_type == PT_DYNAMIC)
		m->dynamic = m->bias + ph->p_vaddr;
}

static bool headers_are_at(struct module *m, uint64_t ehdr, uint64_t dynamic)
{
	m->dynamic = 0;
	return ehdr && read_header(m, ehdr) && for_each_segment(m, take_dynamic) &&
	       m->dynamic == dynamic;
}

bool module_find_headers(struct module *m, uint64_t dynamic)
{
	struct mapped_file f;

	if (headers_are_at(m, m->bias, dynamic))
		return true;
	if (mapped_file_at(dynamic, &f) && headers_are_at(m, f.head, dynamic))
		return true;
	m->ehdr = 0;
	m->phdr_count = 0;
	return false;
}

static bool continues(const struct module_range *r, uint64_t start, uint64_t offset)
{
	return r->limit == start && r->offset + (r->limit - r->start) == offset;
}

static void widen_last_range(struct module *m, uint64_t limit)
{
	m->range[m->range_count - 1].limit = limit;
	m->has_merged_ranges = true;
}

/*
 * Neighbouring executable segments become one range: clients know a file by one mapping.
 * What no range is left for widens the last: addresses in it are found and named.
 */
static void add_range(struct module *m, const Elf64_Phdr *ph)
{
	uint64_t start = ALIGN_DOWN(m->bias + ph->p_vaddr, PAGE_BYTES);
	uint64_t limit = ALIGN_UP(m->bias + ph->p_vaddr + ph->p_memsz, PAGE_BYTES);
	uint64_t offset = ALIGN_DOWN(ph->p_offset, PAGE_BYTES);

	if (m->range_count && continues(&m->range[m->range_count - 1], start, offset))
		m->range[m->range_count - 1].limit = limit;
	else if (m->range_count < MODULE_RANGES_MAX)
		m->range[m->range_count++] = (struct module_range){ start, limit, offset };
	else
		widen_last_range(m, limit);
}

static void widen_image(struct module *m, const Elf64_Phdr *ph)
{
	uint64_t start = m->bias + ph->p_vaddr;

	m->image_start = m->image_limit ? MIN(m->image_start, start) : start;
	m->image_limit = MAX(m->image_limit, start + ph->p_memsz);
}

static void take_build_id(struct module *m, const uint8_t *id, uint32_t len)
{
	m->has_long_id = len > BUILD_ID_MAX;
	m->build_id_len = m->has_long_id ? 0 : (uint8_t)len;
	memcpy(m->build_id, id, m->build_id_len);
}

static void read_notes(struct module *m, const Elf64_Phdr *ph)
{
	uint8_t bytes[NOTE_BYTES_MAX];
	struct elf_notes notes = { .bytes = bytes,
				   .len = MIN(ph->p_memsz, sizeof(bytes)),
				   .align = ph->p_align };
	struct elf_note n;

	if (!peek(m->bias + ph->p_vaddr, bytes, notes.len))
		return;
	while (elf_notes_next(&notes, &n)) {
		if (elf_note_is(&n, NT_GNU_BUILD_ID, "GNU") && m->build_id_len == 0)
			take_build_id(m, n.desc, n.desc_len);
	}
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
	if (!for_each_segment(m, take_segment))
		return false;
	return m->range_count > 0;
}

void module_count_losses(const struct module *m)
{
	if (m->phdr_count == 0)
		counter_add(COUNTER_MODULES_UNREADABLE, 1);
	if (m->has_long_id)
		counter_add(COUNTER_MODULES_LONG_BUILD_ID, 1);
	if (m->has_merged_ranges)
		counter_add(COUNTER_MODULES_MERGED_RANGES, 1);
}
