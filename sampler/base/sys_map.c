#include "sampler/base/sys_map.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sampler/base/debug.h"
#include "sampler/base/number.h"
#include "sampler/base/own_areas.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/shelf.h"
#include "sampler/base/sys.h"

static atomic_size_t mapped_bytes, kept_bytes; /* the second are part of the first */

/*
 * Each advice is a wish: a kernel without it changes cost, not correctness.
 * DONTFORK: a child pays nothing for what it does not go on with (H33).
 */
static void advise(uint64_t p, size_t bytes, bool kept)
{
	sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_DONTDUMP);
	sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_NOHUGEPAGE);
	if (!kept)
		sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_DONTFORK);
}

void sys_advise_bss(void)
{
	struct own_area bss = own_bss();

	advise(bss.start, bss.limit - bss.start, true);
	shelf_trim();
}

static atomic_bool is_locked;

void sys_note_locked(bool locked)
{
	atomic_store_explicit(&is_locked, locked, memory_order_relaxed);
}

bool sys_is_locked(void)
{
	return atomic_load_explicit(&is_locked, memory_order_relaxed);
}

static void unlock(void *p, size_t bytes)
{
	sys_call3(SYS_munlock, (long)p, (long)bytes, 0);
	sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_DONTNEED);
}

static void *map_area_as(size_t bytes, bool kept, int sharing)
{
	int flags = sharing | MAP_ANONYMOUS | MAP_NORESERVE;
	long p;

	if (debug_refuses_map())
		return NULL;
	p = sys_call6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (sys_failed(p))
		return NULL;
	advise((uint64_t)p, bytes, kept);
	if (sys_is_locked())
		unlock((void *)p, bytes);
	own_area_add((struct own_area){ (uint64_t)p, (uint64_t)p + bytes }, kept);
	atomic_fetch_add_explicit(&mapped_bytes, bytes, memory_order_relaxed);
	return (void *)p;
}

static void *map_area(size_t bytes, bool kept)
{
	return map_area_as(bytes, kept, MAP_PRIVATE);
}

bool sys_has_room(size_t bytes)
{
	struct rlimit limit;
	char statm[128];
	const char *pages = statm; /* comes first */

	if (sys_call4(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit) != 0 ||
	    limit.rlim_cur == RLIM_INFINITY ||
	    sys_read_file("/proc/thread-self/statm", statm, sizeof(statm)) <= 0)
		return true;
	return limit.rlim_cur > number_take(&pages, 10) * PAGE_BYTES + bytes;
}

/* Of a limited address space, what is always left to the program. */
#define LEFT_BYTES (8UL << 20)

void *sys_map_whole_limit(size_t bytes)
{
	return map_area(bytes, false);
}

void *sys_map(size_t bytes)
{
	if (!sandbox_is_noted() && !sys_has_room(bytes + LEFT_BYTES))
		return NULL;
	return map_area(bytes, false);
}

void sys_unmap(void *p, size_t bytes)
{
	own_area_remove((uint64_t)p);
	sys_call3(SYS_munmap, (long)p, (long)bytes, 0);
	atomic_fetch_sub_explicit(&mapped_bytes, bytes, memory_order_relaxed);
}

static void note_kept(size_t bytes)
{
	atomic_fetch_add_explicit(&kept_bytes, bytes, memory_order_relaxed);
}

static void *map_kept_apart(size_t bytes)
{
	void *p = map_area(bytes, true);

	if (p)
		note_kept(bytes);
	return p;
}

void *sys_map_kept(size_t bytes)
{
	void *p = debug_refuses_map() ? NULL : shelf_take(bytes);

	if (!p)
		return map_kept_apart(bytes);
	atomic_fetch_add_explicit(&mapped_bytes, bytes, memory_order_relaxed);
	note_kept(bytes);
	return p;
}

/* The last act is a jump: the program's stack may be small. */
void sys_unmap_kept(void *p, size_t bytes)
{
	atomic_fetch_sub_explicit(&kept_bytes, bytes, memory_order_relaxed);
	if (!shelf_has(p)) {
		sys_unmap(p, bytes);
		return;
	}
	atomic_fetch_sub_explicit(&mapped_bytes, bytes, memory_order_relaxed);
	shelf_give_back(p, bytes);
}

void *sys_map_shared(size_t bytes)
{
	void *p = map_area_as(bytes, true, MAP_SHARED);

	if (!p)
		return NULL;
	if (sys_is_locked())
		sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_REMOVE);
	note_kept(bytes);
	return p;
}

/* Its pages would live on as long as a child has them. */
void sys_unmap_shared(void *p, size_t bytes)
{
	sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_REMOVE);
	sys_unmap(p, bytes);
	atomic_fetch_sub_explicit(&kept_bytes, bytes, memory_order_relaxed);
}

void *sys_map_wiped(size_t bytes)
{
	void *p = map_kept_apart(bytes);

	if (p)
		sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_WIPEONFORK);
	return p;
}

void sys_after_fork(void)
{
	mapped_bytes = kept_bytes;
	own_areas_after_fork();
}

size_t sys_mapped_bytes(void)
{
	return atomic_load_explicit(&mapped_bytes, memory_order_relaxed);
}
