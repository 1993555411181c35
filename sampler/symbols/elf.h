/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Bounds-checked views of ELF files.  Everything in a file is hostile: it may
 * be truncated, rewritten under us, or never have been an ELF file at all.  So
 * nothing is mapped (a mapping of a file that shrinks is a SIGBUS), and every
 * offset and size is checked against the bytes that are really there.
 *
 * A reader is a file descriptor or an image in the memory of this process
 * (the vdso has no file), so that one parser serves both.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_ELF_H
#define SAMPLER_SYMBOLS_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/process/modules.h"

#define ELF_SECTIONS_MAX 65536 /* an object beyond that is refused */

struct elf_reader {
	int fd;	       /* -1: memory of this process, by peek() */
	uint64_t base; /* memory: address of byte 0 */
	uint64_t size; /* bytes that may be read */
};

/* Reads exactly `len` bytes at `offset`, or returns false. */
bool elf_read(const struct elf_reader *in, uint64_t offset, void *to, size_t len);

/* Like elf_read(), but as many as there are up to `len`; 0 when unreadable. */
size_t elf_read_some(const struct elf_reader *in, uint64_t offset, void *to, size_t len);

/* An ELF object whose header and section table have been read. */
struct elf {
	struct elf_reader in;
	Elf64_Ehdr header;
	Elf64_Shdr *section; /* NULL when the object has no section table */
	uint32_t section_count;
	char *names; /* section names, ended with NUL; NULL if there are none */
	size_t names_size;
};

/*
 * Opens `path` as an ELF file for our processor: never a device, a pipe or a directory.
 * Tables come from `a` and go with it; elf_close() gives the descriptor back.
 */
bool elf_open(struct elf *e, struct arena *a, const char *path);

/* As elf_open(), for an open descriptor, which `e` owns afterwards, also on failure. */
bool elf_open_fd(struct elf *e, struct arena *a, int fd);

/* Views `size` bytes of memory at `base` as an ELF object. */
bool elf_open_memory(struct elf *e, struct arena *a, uint64_t base, uint64_t size);

/*
 * Where the open file is now, without links: as the kernel says it, also of one that is not
 * below the root that the program has now.  False when it cannot be said.
 */
bool elf_path(const struct elf *e, char *to, size_t size);

/* Also right for a zeroed struct, and twice. */
void elf_close(struct elf *e);

/* The first section of that name or type, or NULL. */
const Elf64_Shdr *elf_section(const struct elf *e, const char *name);
const Elf64_Shdr *elf_section_of_type(const struct elf *e, uint32_t type);

/* "" when the section has no readable name. */
const char *elf_section_name(const struct elf *e, const Elf64_Shdr *s);

/* Whether the section has bytes in the file and all of them are there. */
bool elf_section_is_whole(const struct elf *e, const Elf64_Shdr *s);

/* The GNU build id, from notes in sections or segments; returns its length or 0. */
size_t elf_build_id(const struct elf *e, uint8_t id[BUILD_ID_MAX]);

/*
 * Whether the object is the one mapped as `m`: equal build ids, or if `m` has
 * none, equal program headers in file and memory.
 */
bool elf_is_module(const struct elf *e, const struct module *m);

#endif
