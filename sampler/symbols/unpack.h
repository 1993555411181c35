/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Compressed parts of object files: zlib and zstd for debug sections, xz for the
 * symbol table that Fedora and RHEL leave in stripped programs.  The libraries are
 * linked in; their memory is an arena that lives as long as the call.  What they
 * read is hostile: the output is bounded, and so is what they may allocate.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_UNPACK_H
#define SAMPLER_SYMBOLS_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "sampler/symbols/elf.h"

enum packing { PACKED_ZLIB, PACKED_ZSTD, PACKED_XZ };

/*
 * Unpacks what lies between two offsets of a file.  Returns how many bytes came: 0
 * when it is damaged, does not end within `room` bytes, or asks for too much memory.
 * zlib and zstd stop when `room` is full: the caller knows the size.
 */
size_t unpack(enum packing packing, const struct elf_reader *in, uint64_t at, uint64_t end,
	      uint8_t *out, size_t room);

#endif
