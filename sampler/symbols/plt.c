#include "sampler/symbols/plt.h"

#include <string.h>

#include "sampler/arch/decode.h"
#include "sampler/base/cc.h"
#include "sampler/base/sort.h"

#define SECTIONS_MAX	   8 /* of stubs and of relocations; linkers make three and two */
#define RELOCATIONS_A_READ (65536 / sizeof(Elf64_Rela))

/* The search for the functions of all stubs that were hit. */
struct plt_search {
	const struct elf *e;
	const struct symtab *dynsym;
	const uint64_t *addr;
	size_t count;
	struct symtab_match *match;
	struct sort_pair *slot; /* address of the slot, index of the address */
	size_t slot_count;
};

static void set_match(struct plt_search *p, size_t i, uint64_t symbol)
{
	Elf64_Sym sym;

	if (!symtab_symbol(p->dynsym, symbol, &sym))
		return;
	p->match[i] = (struct symtab_match){ .table = p->dynsym,
					     .name = sym.st_name,
					     .start = p->addr[i],
					     .limit = p->addr[i] + 1,
					     .is_function = true,
					     .has_size = true,
					     .is_plt = true };
}

static void take_target(struct plt_search *p, size_t i, const Elf64_Rela *r)
{
	if (ELF64_R_SYM(r->r_info))
		set_match(p, i, ELF64_R_SYM(r->r_info));
	else if (ELF64_R_TYPE(r->r_info) == ARCH_R_IRELATIVE)
		p->match[i] =
			(struct symtab_match){ .start = (uint64_t)r->r_addend, .is_plt = true };
}

/* With IBT, stubs of .plt only push the number of their relocation. */
static void match_by_number(struct plt_search *p, size_t i, uint32_t number)
{
	const Elf64_Shdr *s = elf_section(p->e, ".rela.plt");
	Elf64_Rela r;

	if (!s || number >= s->sh_size / sizeof(r) || !elf_section_is_whole(p->e, s))
		return;
	if (elf_read(&p->e->in, s->sh_offset + number * sizeof(r), &r, sizeof(r)))
		take_target(p, i, &r);
}

/* The first stub of .plt leads nowhere. */
static void look_at_stub(struct plt_search *p, size_t i, uint64_t start, const uint8_t *stub)
{
	struct arch_target jump = arch_stub_target(stub, start);

	if (jump.kind == ARCH_TARGET_SLOT && p->slot_count < p->count)
		p->slot[p->slot_count++] = (struct sort_pair){ .key = jump.at, .value = i };
	else if (jump.kind == ARCH_TARGET_NUMBER)
		match_by_number(p, i, (uint32_t)jump.at);
}

static void look_at_section(struct plt_search *p, const Elf64_Shdr *s)
{
	for (size_t i = sort_lower_bound(p->addr, p->count, s->sh_addr); i < p->count; i++) {
		uint64_t into = p->addr[i] - s->sh_addr;
		uint64_t size = arch_stub_bytes(s->sh_entsize);
		uint8_t stub[ARCH_STUB_BYTES] = { 0 };

		if (into >= s->sh_size)
			return;
		into -= into % size;
		elf_read_some(&p->e->in, s->sh_offset + into, stub, size);
		look_at_stub(p, i, s->sh_addr + into, stub);
	}
}

static void take_relocation(struct plt_search *p, const Elf64_Rela *r)
{
	size_t i = sort_find(p->slot, p->slot_count, r->r_offset);

	for (; i < p->slot_count && p->slot[i].key == r->r_offset; i++)
		take_target(p, p->slot[i].value, r);
}

static void stream_relocations(struct plt_search *p, const Elf64_Shdr *s, Elf64_Rela *block)
{
	uint64_t count = s->sh_size / sizeof(*block);

	for (uint64_t done = 0; done < count;) {
		size_t n = MIN(count - done, RELOCATIONS_A_READ);

		if (!elf_read(&p->e->in, s->sh_offset + done * sizeof(*block), block,
			      n * sizeof(*block)))
			return;
		for (size_t i = 0; i < n; i++)
			if (ELF64_R_TYPE(block[i].r_info) != ARCH_R_RELATIVE)
				take_relocation(p, &block[i]);
		done += n;
	}
}

static bool is_stub_section(const struct elf *e, const Elf64_Shdr *s)
{
	return strncmp(elf_section_name(e, s), ".plt", 4) == 0 && s->sh_flags & SHF_EXECINSTR &&
	       elf_section_is_whole(e, s);
}

static void collect_stubs(struct plt_search *p)
{
	unsigned left = SECTIONS_MAX;

	for (uint32_t i = 1; i < p->e->section_count && left; i++)
		if (is_stub_section(p->e, &p->e->section[i])) {
			look_at_section(p, &p->e->section[i]);
			left--;
		}
	sort_pairs(p->slot, p->slot_count);
}

static void search_relocations(struct plt_search *p, struct arena *scratch)
{
	Elf64_Rela *block = arena_array(scratch, RELOCATIONS_A_READ, sizeof(*block));

	unsigned left = SECTIONS_MAX;

	for (uint32_t i = 1; block && i < p->e->section_count && left; i++) {
		const Elf64_Shdr *s = &p->e->section[i];

		if (s->sh_type != SHT_RELA || !(s->sh_flags & SHF_ALLOC))
			continue;
		stream_relocations(p, s, block);
		left--;
	}
}

void plt_search(const struct elf *e, const struct symtab *dynsym, struct arena *scratch,
		const uint64_t *addr, size_t count, struct symtab_match *match)
{
	struct plt_search p = {
		.e = e, .dynsym = dynsym, .addr = addr, .count = count, .match = match
	};

	p.slot = arena_array(scratch, count, sizeof(*p.slot));
	if (!p.slot)
		return;
	collect_stubs(&p);
	if (p.slot_count)
		search_relocations(&p, scratch);
}
