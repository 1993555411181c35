/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The notes of an ELF image, in bytes that were copied from memory or read from a
 * file: nothing in them is trusted.
 *
 * Context: any role.
 */
#ifndef SAMPLER_PROCESS_ELF_NOTES_H
#define SAMPLER_PROCESS_ELF_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_notes {
	const uint8_t *bytes;
	size_t len;
	size_t align; /* of the segment or section: 8, or 4 for all else */
	size_t at;    /* of the next note; starts as 0 */
};

struct elf_note {
	uint32_t type;
	const uint8_t *name, *desc;
	uint32_t name_len, desc_len; /* the name's with its NUL */
};

/* The next note, which points into the bytes.  False at the end, or where one is cut short. */
bool elf_notes_next(struct elf_notes *in, struct elf_note *out);

/* Its owner is `name`, four bytes with the NUL.  Context: any role. */
bool elf_note_is(const struct elf_note *n, uint32_t type, const char name[4]);

#endif
