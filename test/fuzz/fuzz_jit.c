/*
 * Any bytes as what a runtime tells about code that it made: the first chooses between a
 * perf map and the records of a jitdump file, whose header is flawless.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/arch/arch.h"
#include "sampler/base/sys.h"
#include "sampler/symbols/jit_search.h"

#define ADDRESSES 256

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_as(struct jit_search *s, const uint8_t *bytes, size_t size, bool is_dump)
{
	uint32_t head[10] = { 0x4a695444,	1, sizeof(head),
			      ARCH_ELF_MACHINE, 0, (uint32_t)sys_getpid() };
	size_t head_size = is_dump ? sizeof(head) : 0;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, head, head_size) != (ssize_t)head_size ||
	    write(fd, bytes, size) != (ssize_t)size)
		abort();
	if (is_dump)
		jitdump_read(s, fd, head_size + size);
	else
		perf_map_read(s, fd, size);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct arena a = ARENA_INIT(32 << 20);
	static uint64_t pc[ADDRESSES];
	static struct symbol_frame frame[ADDRESSES];
	struct jit_search s = { .arena = &a,
				.pc = pc,
				.count = ADDRESSES,
				.frame = frame,
				.steps_left = 1 << 20,
				.name_bytes_left = 1 << 20,
				.deadline_ns = sys_now_ns() + NS_PER_SECOND / 2,
				.block = arena_alloc(&a, JIT_BLOCK_BYTES) };

	memset(frame, 0, sizeof(frame));
	for (uint64_t i = 0; i < ADDRESSES; i++)
		pc[i] = i < 128 ? 0x1000 + i * 16 : i << 32;
	if (size)
		read_as(&s, bytes + 1, size - 1, bytes[0] & 1);
	for (size_t i = 0; i < ADDRESSES; i++)
		if (frame[i].name && (!frame[i].system_name || !frame[i].file || !frame[i].name[0]))
			abort();
	arena_release(&a);
	return 0;
}
