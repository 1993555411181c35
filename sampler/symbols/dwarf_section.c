#include "sampler/symbols/dwarf_section.h"

#include <string.h>
#include <zlib.h>

#include "sampler/base/cc.h"

#define INFLATE_BLOCK 16384
#define SMALL_SECTION (512UL << 10)

static const char *const section_names[DWARF_SECTIONS] = {
	[DWARF_INFO] = ".debug_info",	      [DWARF_ABBREV] = ".debug_abbrev",
	[DWARF_LINE] = ".debug_line",	      [DWARF_STR] = ".debug_str",
	[DWARF_LINE_STR] = ".debug_line_str", [DWARF_STR_OFFSETS] = ".debug_str_offsets",
	[DWARF_ADDR] = ".debug_addr",	      [DWARF_RANGES] = ".debug_ranges",
	[DWARF_RNGLISTS] = ".debug_rnglists",
};

static voidpf arena_zalloc(voidpf a, uInt items, uInt size)
{
	return arena_array(a, items, size);
}

/* The arena is released as a whole. */
static void arena_zfree(voidpf a, voidpf p)
{
	(void)a;
	(void)p;
}

/* Feeds a block to zlib.  True while there is more to do. */
static bool inflate_block(z_stream *z, const struct elf_reader *in, uint64_t *at, uint64_t end,
			  uint8_t *block)
{
	size_t n = elf_read_some(in, *at, block, MIN(end - *at, (uint64_t)INFLATE_BLOCK));

	z->next_in = block;
	z->avail_in = (uInt)n;
	*at += n;
	return n && inflate(z, Z_NO_FLUSH) == Z_OK && z->avail_out;
}

/* Inflates what lies between two offsets of the file; it must give `size` bytes. */
static uint8_t *inflate_bytes(struct arena *a, const struct elf_reader *in, uint64_t at,
			      uint64_t end, size_t size)
{
	z_stream z = { .zalloc = arena_zalloc, .zfree = arena_zfree, .opaque = a };
	uint8_t *block = arena_alloc(a, INFLATE_BLOCK);
	uint8_t *out = arena_alloc(a, size);

	if (!block || !out || inflateInit(&z) != Z_OK)
		return NULL;
	z.next_out = out;
	z.avail_out = (uInt)size;
	while (inflate_block(&z, in, &at, end, block))
		continue;
	inflateEnd(&z);
	return z.avail_out == 0 ? out : NULL;
}

static bool inflate_section(struct dwarf_section *s, struct arena *a, const struct elf *e,
			    const Elf64_Shdr *h, uint64_t *budget)
{
	Elf64_Chdr c;

	if (h->sh_size < sizeof(c) || !elf_read(&e->in, h->sh_offset, &c, sizeof(c)) ||
	    c.ch_type != ELFCOMPRESS_ZLIB || c.ch_size > *budget)
		return false;
	*budget -= c.ch_size;
	s->size = c.ch_size;
	s->bytes = inflate_bytes(a, &e->in, h->sh_offset + sizeof(c), h->sh_offset + h->sh_size,
				 c.ch_size);
	return s->bytes;
}

/* Without memory the section stays in the file. */
static bool load_if_small(struct dwarf_section *s, struct arena *a)
{
	uint8_t *bytes = s->size <= SMALL_SECTION ? arena_alloc(a, s->size) : NULL;

	if (bytes && elf_read(s->in, s->offset, bytes, s->size))
		s->bytes = bytes;
	return true;
}

/* A section that is not there is fine here; one that cannot be read is not. */
static bool open_section(struct dwarf_section *s, struct arena *a, const struct elf *e,
			 const char *name, uint64_t *budget)
{
	const Elf64_Shdr *h = elf_section(e, name);

	memset(s, 0, sizeof(*s));
	if (!h || h->sh_type == SHT_NOBITS)
		return true;
	if (!elf_section_is_whole(e, h))
		return false;
	s->in = &e->in;
	s->offset = h->sh_offset;
	s->size = h->sh_size;
	return h->sh_flags & SHF_COMPRESSED ? inflate_section(s, a, e, h, budget)
					    : load_if_small(s, a);
}

static bool has_debug_info(const struct elf *e)
{
	const Elf64_Shdr *h = elf_section(e, section_names[DWARF_INFO]);

	return h && h->sh_type != SHT_NOBITS;
}

enum dwarf_found dwarf_sections_open(struct dwarf_section section[DWARF_SECTIONS], struct arena *a,
				     const struct elf *e)
{
	uint64_t budget = DWARF_INFLATED_MAX;

	if (!has_debug_info(e))
		return DWARF_NONE;
	for (int i = 0; i < DWARF_SECTIONS; i++)
		if (!open_section(&section[i], a, e, section_names[i], &budget))
			return DWARF_REFUSED;
	return DWARF_FOUND;
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
