/*
 * Any bytes as debug sections: the input is cut into pieces, each with its
 * length in front, which become the sections of an object that is otherwise
 * flawless.  Addresses are looked up all over its lowest 16 MiB.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/symbols/lines.h"

#define ADDRESSES 256
#define LENGTH	  3 /* bytes of it before each piece */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char names[] = "\0.debug_info\0.debug_abbrev\0.debug_line\0.debug_str\0.debug_line_str\0"
		      ".debug_str_offsets\0.debug_addr\0.debug_ranges\0.debug_rnglists";

/* The pieces as sections; the last one takes what is left. */
static uint32_t cut(const uint8_t *bytes, size_t size, Elf64_Shdr *section)
{
	uint32_t name = 1, n = 1;

	for (size_t at = 0; at + LENGTH <= size && name < sizeof(names); n++) {
		uint32_t want = 0;

		memcpy(&want, bytes + at, LENGTH);
		at += LENGTH;
		section[n] = (Elf64_Shdr){ .sh_name = name,
					   .sh_type = SHT_PROGBITS,
					   .sh_offset = at,
					   .sh_size = MIN(want, size - at) };
		at += section[n].sh_size;
		name += (uint32_t)strlen(names + name) + 1;
	}
	return n;
}

static void resolve(struct arena *a, const struct elf *e)
{
	struct intern strings = INTERN_INIT(a, a);
	static struct symbol_frame frame[ADDRESSES];
	static struct symbol symbol[ADDRESSES];
	static uint64_t addr[ADDRESSES];
	struct lines_request r = { .e = e,
				   .path = "",
				   .addr = addr,
				   .count = ADDRESSES,
				   .symbol = symbol,
				   .unknown = "[fuzz]",
				   .strings = &strings,
				   .out = a,
				   .memory = 24 << 20,
				   .deadline_ns = sys_now_ns() + 500000000 };

	for (uint32_t i = 0; i < ADDRESSES; i++) {
		addr[i] = i < 192 ? 0x1000 + 4 * i : (uint64_t)(i - 191) << 18;
		frame[i] = (struct symbol_frame){ .name = "[fuzz]", .system_name = "", .file = "" };
		symbol[i] = (struct symbol){ .frame = &frame[i], .frame_count = 1 };
	}
	lines_resolve(&r);
	for (size_t i = 0; i < ADDRESSES; i++)
		for (uint32_t f = 0; f < symbol[i].frame_count; f++)
			if (!symbol[i].frame[f].name || !symbol[i].frame[f].file)
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct arena a = ARENA_INIT(64 << 20);
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	Elf64_Shdr section[16] = { 0 };
	struct elf e = { .in = { .fd = fd, .size = size },
			 .section = section,
			 .section_count = cut(bytes, size, section),
			 .names = names,
			 .names_size = sizeof(names) };

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	resolve(&a, &e);
	close(fd);
	arena_release(&a);
	return 0;
}
