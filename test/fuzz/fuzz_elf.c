/*
 * Any bytes as an object file: some addresses are resolved with it, names and
 * lines, as if it had been found to be the right one.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/base/sys.h"
#include "sampler/symbols/resolve.h"

#define ADDRESSES 128

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Addresses all over the object's first code section, and some elsewhere. */
static size_t choose_addresses(const struct elf *e, uint64_t *addr)
{
	const Elf64_Shdr *text = elf_section(e, ".text");
	uint64_t start = text ? text->sh_addr : 0x1000;
	uint64_t step = text && text->sh_size > ADDRESSES ? text->sh_size / ADDRESSES : 1;
	size_t count = 0;

	for (uint64_t i = 0; i < ADDRESSES; i++)
		if (!__builtin_add_overflow(start, i * step, &addr[count]) &&
		    (count == 0 || addr[count] > addr[count - 1]))
			count++;
	return count;
}

static void check(const struct symbol *s)
{
	if (s->frame_count == 0)
		abort();
	for (uint32_t i = 0; i < s->frame_count; i++)
		if (!s->frame[i].name || !s->frame[i].system_name || !s->frame[i].file)
			abort();
}

static void resolve(struct arena *a, const struct objects *o)
{
	uint64_t addr[ADDRESSES];
	struct symbol s[ADDRESSES];
	struct module m = { .path = "/fuzz" };
	struct resolve_request r = { .m = &m,
				     .objects = o,
				     .addr = addr,
				     .count = choose_addresses(&o->file, addr),
				     .detail = SYMBOLS_LINES,
				     .deadline_ns = sys_now_ns() + 500000000 };

	if (resolve_addresses(a, &r, s))
		for (size_t i = 0; i < r.count; i++)
			check(&s[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct arena a = ARENA_INIT(32 << 20);
	struct objects o = { 0 };
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	o.has_file = elf_open_fd(&o.file, &a, fd);
	if (o.has_file) {
		o.wants_mini = elf_section(&o.file, ".gnu_debugdata");
		objects_open_mini(&o);
		resolve(&a, &o);
	}
	objects_close(&o);
	arena_release(&a);
	return 0;
}
