/*
 * Any bytes as what a runtime tells about code that it made: the first chooses between a
 * perf map and the records of a jitdump file, whose header is flawless.  It is read twice,
 * and has grown in between.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sampler/arch/arch.h"
#include "sampler/base/sys.h"
#include "sampler/symbols/jit_search.h"

#define ADDRESSES 256

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static uint64_t pc[ADDRESSES];
static struct symbol_frame frame[ADDRESSES];
static bool is_done[ADDRESSES];

static void put(int fd, const void *bytes, size_t size)
{
	if (write(fd, bytes, size) != (ssize_t)size)
		abort();
}

static void begin_file(int fd, bool is_dump)
{
	uint32_t head[10] = { 0x4a695444,	1, sizeof(head),
			      ARCH_ELF_MACHINE, 0, (uint32_t)sys_getpid() };

	if (is_dump)
		put(fd, head, sizeof(head));
}

static void read_file(int fd, struct jit_index *index, const struct jit_reader *reader)
{
	struct arena a = ARENA_INIT(32 << 20);
	struct jit_search s = { .arena = &a,
				.pc = pc,
				.count = ADDRESSES,
				.frame = frame,
				.is_done = is_done,
				.steps_left = 1 << 20,
				.name_bytes_left = 1 << 20,
				.deadline_ns = sys_now_ns() + NS_PER_SECOND / 2,
				.block = arena_alloc(&a, JIT_BLOCK_BYTES),
				.index = index,
				.fd = fd };
	struct stat st;

	memset(frame, 0, sizeof(frame));
	if (fstat(fd, &st) != 0)
		abort();
	jit_search_file(&s, reader, &st);
	for (size_t i = 0; i < ADDRESSES; i++)
		if (frame[i].name && (!frame[i].system_name || !frame[i].file || !frame[i].name[0]))
			abort();
	arena_release(&a);
}

static void read_growing(const uint8_t *bytes, size_t size, bool is_dump)
{
	const struct jit_reader *reader = is_dump ? &jitdump_reader : &perf_map_reader;
	static struct jit_index index;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		abort();
	begin_file(fd, is_dump);
	put(fd, bytes, size / 2);
	read_file(fd, &index, reader);
	put(fd, bytes + size / 2, size - size / 2);
	read_file(fd, &index, reader);
	jit_index_release(&index);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	for (uint64_t i = 0; i < ADDRESSES; i++)
		pc[i] = i < 128 ? 0x1000 + i * 16 : i << 32;
	if (size)
		read_growing(bytes + 1, size - 1, bytes[0] & 1);
	return 0;
}
