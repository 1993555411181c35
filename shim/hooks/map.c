#include "shim/hooks/map.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/heap/heap.h"
#include "sampler/heap/mapped.h"
#include "sampler/unwind/hook_walk.h"
#include "sampler/unwind/stacks.h"
#include "shim/hooks/alloc_sample.h"
#include "shim/hooks/early.h"
#include "shim/real/lookup.h"

/* X(name, return type, parameters) */
#define FAMILY(X)                                                                                  \
	X(mmap, void *, (void *, size_t, int, int, int, off_t))                                    \
	X(mmap64, void *, (void *, size_t, int, int, int, off64_t))                                \
	X(munmap, int, (void *, size_t))                                                           \
	X(mremap, void *, (void *, size_t, size_t, int, ...))                                      \
	X(sbrk, void *, (intptr_t))                                                                \
	X(brk, int, (void *))

/* NULL until the first call: no pointer of a table that is relocated. */
#define X(name, type, parameters) type(*name) parameters;
static struct {
	FAMILY(X)
} next;
#undef X

static bool is_on;

/* The object that has the next malloc; 0: libc. */
static struct {
	uint64_t start, size;
} allocator;

/* ---- the functions behind ours */

#define X(name, type, parameters)                                                                  \
	static COLD NOINLINE __typeof__(next.name) find_##name(void)                               \
	{                                                                                          \
		if (hooks_are_early())                                                             \
			return (__typeof__(next.name))lookup_next_early(#name);                    \
		next.name = (__typeof__(next.name))lookup_next(#name);                             \
		return next.name;                                                                  \
	}
FAMILY(X)
#undef X

#define NEXT(name) (LIKELY(next.name) ? next.name : find_##name())

/* ---- who asks */

/* A shared object whose first segment has the header; anything else has no size. */
static uint64_t size_of_object(uint64_t start)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)start;
	const Elf64_Phdr *p;
	uint64_t end = 0;

	if (!start || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0)
		return 0;
	p = (const Elf64_Phdr *)(start + e->e_phoff);
	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && p[i].p_vaddr + p[i].p_memsz > end)
			end = p[i].p_vaddr + p[i].p_memsz;
	return end;
}

static void find_allocator(void)
{
	struct lookup_found found;

	if (lookup_comes_earlier("malloc") || !lookup_find_next("malloc", &found) || found.is_libc)
		return;
	allocator.start = found.in->l_addr;
	allocator.size = size_of_object(allocator.start);
}

static bool is_of_allocator(uint64_t pc)
{
	return pc - allocator.start < allocator.size;
}

/* ---- what is counted */

static void note_new(void *p, size_t size, uint64_t leaf, const struct frame_regs *caller)
{
	if (!is_of_allocator(caller->pc) && heap_count_down(size) && alloc_begin_sample(size))
		alloc_mapped(p, size, leaf, caller);
}

static bool is_counted(int prot, int flags)
{
	return flags & MAP_ANONYMOUS && prot != PROT_NONE;
}

static void note_mapped(void *p, size_t size, bool counts, uint64_t since,
			const struct frame_regs *caller)
{
	alloc_unmapped(p, size, since); /* by MAP_FIXED, or behind our back */
	if (counts)
		note_new(p, size, PSEUDO_CALL_mmap, caller);
}

/* off_t and off64_t are one type where we are built for. */
#define MMAP(name)                                                                                 \
	static NOINLINE void *counted_##name(void *at, size_t size, int prot, int flags, int fd,   \
					     off_t offset)                                         \
	{                                                                                          \
		uint64_t since = mapped_now();                                                     \
		void *p = NEXT(name)(at, size, prot, flags, fd, offset);                           \
                                                                                                   \
		if (p != MAP_FAILED)                                                               \
			note_mapped(p, ALIGN_UP(size, PAGE_BYTES), is_counted(prot, flags), since, \
				    &CALLER());                                                    \
		return p;                                                                          \
	}                                                                                          \
                                                                                                   \
	EXPORT void *name(void *at, size_t size, int prot, int flags, int fd, off_t offset)        \
	{                                                                                          \
		if (UNLIKELY(is_on))                                                               \
			return counted_##name(at, size, prot, flags, fd, offset);                  \
		return NEXT(name)(at, size, prot, flags, fd, offset);                              \
	}
MMAP(mmap)
MMAP(mmap64)
#undef MMAP

static NOINLINE int counted_munmap(void *p, size_t size)
{
	uint64_t since = mapped_now();
	int failed = NEXT(munmap)(p, size);

	if (!failed)
		alloc_unmapped(p, ALIGN_UP(size, PAGE_BYTES), since);
	return failed;
}

EXPORT int munmap(void *p, size_t size)
{
	return UNLIKELY(is_on) ? counted_munmap(p, size) : NEXT(munmap)(p, size);
}

/* As realloc: the old one goes, and a new one is there.  Nobody knows whether it is a file's,
 * which is rare. */
static NOINLINE void *counted_mremap(void *p, size_t old_size, size_t size, int flags, void *at)
{
	uint64_t since = mapped_now();
	void *q = NEXT(mremap)(p, old_size, size, flags, at);

	if (q == MAP_FAILED)
		return q;
	alloc_unmapped(p, ALIGN_UP(old_size, PAGE_BYTES), since);
	alloc_unmapped(q, ALIGN_UP(size, PAGE_BYTES), since);
	note_new(q, ALIGN_UP(size, PAGE_BYTES), PSEUDO_CALL_mremap, &CALLER());
	return q;
}

/* Without MREMAP_FIXED nobody looks at `at`. */
EXPORT void *hook_mremap(void *p, size_t old_size, size_t size, int flags, void *at)
	ARCH_AS_VARIADIC("mremap");
void *hook_mremap(void *p, size_t old_size, size_t size, int flags, void *at)
{
	if (UNLIKELY(is_on))
		return counted_mremap(p, old_size, size, flags, at);
	return NEXT(mremap)(p, old_size, size, flags, at);
}

/* ---- the end of the data segment */

static void *end_of_data(void)
{
	return NEXT(sbrk)(0);
}

static void note_break(uint8_t *before, uint64_t since, const struct frame_regs *caller)
{
	uint8_t *now = end_of_data();

	if (now < before)
		alloc_unmapped(now, (size_t)(before - now), since);
	else if (now > before)
		note_new(before, (size_t)(now - before), PSEUDO_CALL_sbrk, caller);
}

static NOINLINE void *counted_sbrk(intptr_t by)
{
	uint64_t since = mapped_now();
	void *before = NEXT(sbrk)(by);

	if (by && before != (void *)-1)
		note_break(before, since, &CALLER());
	return before;
}

EXPORT void *sbrk(intptr_t by)
{
	return UNLIKELY(is_on) ? counted_sbrk(by) : NEXT(sbrk)(by);
}

static NOINLINE int counted_brk(void *end)
{
	uint64_t since = mapped_now();
	void *before = end_of_data();
	int failed = NEXT(brk)(end);

	if (!failed)
		note_break(before, since, &CALLER());
	return failed;
}

EXPORT int brk(void *end)
{
	return UNLIKELY(is_on) ? counted_brk(end) : NEXT(brk)(end);
}

/* ---- on and off */

void map_turn_on(void)
{
	find_allocator();
	is_on = true;
}

bool map_is_on(void)
{
	return is_on;
}

void map_hide(void)
{
#define X(name, ...) #name,
	static const char *const names[] = { FAMILY(X) };
#undef X

	lookup_hide(names, ARRAY_SIZE(names));
}
