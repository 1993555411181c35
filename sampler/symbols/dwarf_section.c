#include "sampler/symbols/dwarf_section.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/text.h"
#include "sampler/symbols/unpack.h"

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2 /* glibc 2.37 */
#endif

#define SMALL_SECTION (512UL << 10)

static const char *const section_names[DWARF_SECTIONS] = {
	[DWARF_INFO] = ".debug_info",	      [DWARF_ABBREV] = ".debug_abbrev",
	[DWARF_LINE] = ".debug_line",	      [DWARF_STR] = ".debug_str",
	[DWARF_LINE_STR] = ".debug_line_str", [DWARF_STR_OFFSETS] = ".debug_str_offsets",
	[DWARF_ADDR] = ".debug_addr",	      [DWARF_RANGES] = ".debug_ranges",
	[DWARF_RNGLISTS] = ".debug_rnglists",
};

/* A header of a section; `is_old`: it has the name of compressed ones before they had a flag. */
struct found {
	const Elf64_Shdr *h; /* NULL: it is not there */
	bool is_old;
};

static struct found find_section(const struct elf *e, const char *name, const char *suffix)
{
	char old[sizeof(".zdebug_str_offsets.dwo")];
	struct text t = TEXT_INIT(old);
	struct found f;

	text_str(&t, ".z");
	text_str(&t, name + 1);
	text_str(&t, suffix);
	old[1] = '.';
	f.h = elf_section(e, old + 1);
	old[1] = 'z';
	f.is_old = !f.h;
	f.h = f.h ? f.h : elf_section(e, old);
	if (f.h && f.h->sh_type == SHT_NOBITS)
		f.h = NULL;
	return f;
}

/* What a compressed section's head says. */
struct packed {
	enum packing packing;
	uint64_t head; /* bytes of it */
	uint64_t size; /* unpacked */
};

/* "ZLIB" and the size, highest byte first. */
static bool read_old_head(const struct elf *e, const Elf64_Shdr *h, struct packed *p)
{
	uint8_t head[12];

	if (h->sh_size < sizeof(head) || !elf_read(&e->in, h->sh_offset, head, sizeof(head)) ||
	    memcmp(head, "ZLIB", 4) != 0)
		return false;
	*p = (struct packed){ .packing = PACKED_ZLIB, .head = sizeof(head) };
	for (size_t i = 4; i < sizeof(head); i++)
		p->size = p->size << 8 | head[i];
	return true;
}

static bool read_head(const struct elf *e, const Elf64_Shdr *h, struct packed *p)
{
	Elf64_Chdr c;

	if (h->sh_size < sizeof(c) || !elf_read(&e->in, h->sh_offset, &c, sizeof(c)) ||
	    (c.ch_type != ELFCOMPRESS_ZLIB && c.ch_type != ELFCOMPRESS_ZSTD))
		return false;
	p->packing = c.ch_type == ELFCOMPRESS_ZLIB ? PACKED_ZLIB : PACKED_ZSTD;
	p->head = sizeof(c);
	p->size = c.ch_size;
	return true;
}

static bool unpack_section(struct dwarf_section *s, struct arena *a, const struct elf *e,
			   const Elf64_Shdr *h, const struct packed *p, uint64_t *budget)
{
	uint8_t *bytes = p->size <= *budget ? arena_alloc(a, p->size) : NULL;

	if (!bytes || unpack(p->packing, &e->in, h->sh_offset + p->head, h->sh_offset + h->sh_size,
			     bytes, p->size) != p->size)
		return false;
	*budget -= p->size;
	s->size = p->size;
	s->bytes = bytes;
	return true;
}

/* Without memory the section stays in the file. */
static bool load_if_small(struct dwarf_section *s, struct arena *a)
{
	uint8_t *bytes = s->size <= SMALL_SECTION ? arena_alloc(a, s->size) : NULL;

	if (bytes && elf_read(s->in, s->offset, bytes, s->size))
		s->bytes = bytes;
	return true;
}

static bool is_packed(struct found f)
{
	return f.is_old || (f.h->sh_flags & SHF_COMPRESSED);
}

static bool read_packed(const struct elf *e, struct found f, struct packed *p)
{
	return f.is_old ? read_old_head(e, f.h, p) : read_head(e, f.h, p);
}

uint64_t dwarf_packed_bytes(const struct elf *e)
{
	uint64_t sum = 0;
	struct packed p;

	for (int i = 0; i < DWARF_SECTIONS; i++) {
		struct found f = find_section(e, section_names[i], "");

		if (f.h && is_packed(f) && read_packed(e, f, &p))
			sum += MIN(p.size, (uint64_t)DWARF_INFLATED_MAX);
	}
	return sum;
}

/* A section that is not there is fine here; one that cannot be read is not. */
static bool open_section(struct dwarf_section *s, struct arena *a, const struct elf *e,
			 const char *name, const char *suffix, uint64_t *budget)
{
	struct found f = find_section(e, name, suffix);
	struct packed p;

	memset(s, 0, sizeof(*s));
	if (!f.h)
		return true;
	if (!elf_section_is_whole(e, f.h))
		return false;
	s->in = &e->in;
	s->offset = f.h->sh_offset;
	s->size = f.h->sh_size;
	if (!is_packed(f))
		return load_if_small(s, a);
	return read_packed(e, f, &p) && unpack_section(s, a, e, f.h, &p, budget);
}

bool dwarf_section_open(struct dwarf_section *s, struct arena *a, const struct elf *e,
			const char *name)
{
	uint64_t budget = DWARF_INFLATED_MAX;

	return open_section(s, a, e, name, "", &budget) && s->in;
}

bool dwarf_has_info(const struct elf *e)
{
	return find_section(e, section_names[DWARF_INFO], "").h;
}

enum dwarf_found dwarf_sections_open(struct dwarf_section section[DWARF_SECTIONS], struct arena *a,
				     const struct elf *e, const char *suffix)
{
	uint64_t budget = DWARF_INFLATED_MAX;

	for (int i = 0; i < DWARF_SECTIONS; i++)
		if (!open_section(&section[i], a, e, section_names[i], suffix, &budget))
			return DWARF_REFUSED;
	return section[DWARF_INFO].in ? DWARF_FOUND : DWARF_NONE;
}

bool dwarf_section_narrow(struct dwarf_section *s, uint64_t offset, uint64_t size)
{
	if (offset > s->size || size > s->size - offset)
		return false;
	s->offset += offset;
	s->size = size;
	if (s->bytes)
		s->bytes += offset;
	return true;
}

size_t dwarf_read_some(const struct dwarf_section *s, uint64_t offset, void *to, size_t len)
{
	if (!s->in || offset >= s->size)
		return 0;
	len = MIN(len, s->size - offset);
	if (!s->bytes)
		return elf_read_some(s->in, s->offset + offset, to, len);
	memcpy(to, s->bytes + offset, len);
	return len;
}

bool dwarf_read(const struct dwarf_section *s, uint64_t offset, void *to, size_t len)
{
	return dwarf_read_some(s, offset, to, len) == len;
}

const uint8_t *dwarf_view(const struct dwarf_section *s, struct arena *a, uint64_t offset,
			  size_t len)
{
	uint8_t *copy;

	if (offset > s->size || len > s->size - offset)
		return NULL;
	if (s->bytes)
		return s->bytes + offset;
	copy = arena_alloc(a, len);
	return copy && dwarf_read(s, offset, copy, len) ? copy : NULL;
}

void dwarf_stream_open(struct dwarf_stream *st, const struct dwarf_section *s, uint64_t offset)
{
	st->s = s;
	st->next = offset;
	st->c = (struct dwarf_cursor){ .at = st->window, .end = st->window };
	if (s->bytes && offset < s->size) {
		st->c = (struct dwarf_cursor){ .at = s->bytes + offset, .end = s->bytes + s->size };
		st->next = s->size;
	}
}

struct dwarf_cursor *dwarf_stream_next(struct dwarf_stream *st)
{
	size_t left = dwarf_left(&st->c), more;

	if (left >= DWARF_STREAM_ITEM || st->next >= st->s->size)
		return &st->c;
	memmove(st->window, st->c.at, left);
	more = dwarf_read_some(st->s, st->next, st->window + left, sizeof(st->window) - left);
	st->next = more ? st->next + more : UINT64_MAX;
	st->c.at = st->window;
	st->c.end = st->window + left + more;
	return &st->c;
}
