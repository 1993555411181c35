#include "sampler/process/elf_notes.h"

#include <elf.h>
#include <string.h>

#include "sampler/base/cc.h"

/* Contents, and the next note, begin aligned as seen from the note's start. */
bool elf_notes_next(struct elf_notes *in, struct elf_note *out)
{
	const uint8_t *note = in->bytes + in->at;
	size_t align = in->align == 8 ? 8 : 4;
	size_t left = in->len - in->at;
	Elf64_Nhdr h;
	size_t desc;

	if (left < sizeof(h))
		return false;
	memcpy(&h, note, sizeof(h));
	desc = ALIGN_UP(sizeof(h) + h.n_namesz, align);
	if (desc > left || h.n_descsz > left - desc)
		return false;
	*out = (struct elf_note){ .type = h.n_type,
				  .name = note + sizeof(h),
				  .name_len = h.n_namesz,
				  .desc = note + desc,
				  .desc_len = h.n_descsz };
	in->at += MIN(ALIGN_UP(desc + h.n_descsz, align), left);
	return true;
}

bool elf_note_is(const struct elf_note *n, uint32_t type, const char name[4])
{
	return n->type == type && n->name_len == 4 && memcmp(n->name, name, 4) == 0;
}
