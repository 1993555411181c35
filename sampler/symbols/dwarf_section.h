/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The debug sections of one object.  Large ones stay in the file and are read
 * piece by piece; small ones are brought into memory at once, which saves
 * thousands of system calls.  Compressed ones (zlib, zstd, and .zdebug_* of older
 * linkers) are unpacked as a whole, if that is not too much.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_SECTION_H
#define SAMPLER_SYMBOLS_DWARF_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_cursor.h"
#include "sampler/symbols/elf.h"

#define DWARF_INFLATED_MAX (16UL << 20) /* bytes of all sections of one object */

enum dwarf_section_id {
	DWARF_INFO,
	DWARF_ABBREV,
	DWARF_LINE,
	DWARF_STR,
	DWARF_LINE_STR,
	DWARF_STR_OFFSETS,
	DWARF_ADDR,
	DWARF_RANGES,
	DWARF_RNGLISTS,
	DWARF_SECTIONS
};

struct dwarf_section {
	const struct elf_reader *in; /* NULL: there is no such section */
	uint64_t offset;	     /* in the file */
	uint64_t size;		     /* inflated */
	const uint8_t *bytes;	     /* all of it in memory; NULL: read the file */
};

/* Whether there is debug information, in whichever form. */
bool dwarf_has_info(const struct elf *e);

/* How many bytes dwarf_sections_open() would unpack. */
uint64_t dwarf_packed_bytes(const struct elf *e);

enum dwarf_found {
	DWARF_FOUND,
	DWARF_NONE,    /* the object has no units; other sections may be there */
	DWARF_REFUSED, /* it has, but compressed in a way or size that we do not read */
};

/*
 * `a` holds what is brought into memory; `e` is borrowed as long as the sections are used.
 * `suffix` is behind their names: "", or ".dwo" for those of split debug information.
 */
enum dwarf_found dwarf_sections_open(struct dwarf_section section[DWARF_SECTIONS], struct arena *a,
				     const struct elf *e, const char *suffix);

/* One of another name, which begins with ".debug_".  False: it is not there, or cannot be read. */
bool dwarf_section_open(struct dwarf_section *s, struct arena *a, const struct elf *e,
			const char *name);

/* The `size` bytes at `offset` become all of the section.  False when they are not in it. */
bool dwarf_section_narrow(struct dwarf_section *s, uint64_t offset, uint64_t size);

bool dwarf_read(const struct dwarf_section *s, uint64_t offset, void *to, size_t len);

/* As many bytes as there are up to `len`. */
size_t dwarf_read_some(const struct dwarf_section *s, uint64_t offset, void *to, size_t len);

/* `len` bytes in memory: in place if they are there, or a copy in `a`; NULL on failure. */
const uint8_t *dwarf_view(const struct dwarf_section *s, struct arena *a, uint64_t offset,
			  size_t len);

/*
 * A cursor over a section of which the length needed is not known: a small
 * window that moves along.
 */
#define DWARF_STREAM_ITEM 32 /* bytes that dwarf_stream_next() promises */

struct dwarf_stream {
	const struct dwarf_section *s;
	uint64_t next; /* offset of what the window holds no more */
	struct dwarf_cursor c;
	uint8_t window[2048];
};

void dwarf_stream_open(struct dwarf_stream *st, const struct dwarf_section *s, uint64_t offset);

/*
 * The cursor, with DWARF_STREAM_ITEM bytes in front of it unless the section
 * ends earlier.  Borrowed until the next call.
 */
struct dwarf_cursor *dwarf_stream_next(struct dwarf_stream *st);

#endif
