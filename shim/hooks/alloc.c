/*
 * malloc and its family.  Pure observers: every call goes on to the next
 * definition, whatever allocator that is, and what is recorded is recorded on
 * the side, by address.
 *
 * The fast path is one subtraction and a branch for an allocation, one look at
 * the filter for a free, then a jump to the real function.  A sampled block is
 * recorded after the real allocation and taken out before the real free, because
 * in between the address may be anybody's.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/heap/heap.h"
#include "sampler/unwind/hook_walk.h"
#include "shim/hooks/alloc_sample.h"
#include "shim/hooks/allocator.h"
#include "shim/hooks/early.h"
#include "shim/real/next.h"

/* X(name, return type, parameters, arguments) */
#define FAMILY(X)                                                                                  \
	X(free, void, (void *p), (p))                                                              \
	X(malloc, void *, (size_t size), (size))                                                   \
	X(calloc, void *, (size_t count, size_t size), (count, size))                              \
	X(realloc, void *, (void *p, size_t size), (p, size))                                      \
	X(memalign, void *, (size_t align, size_t size), (align, size))                            \
	X(aligned_alloc, void *, (size_t align, size_t size), (align, size))                       \
	X(posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size))        \
	X(valloc, void *, (size_t size), (size))                                                   \
	X(pvalloc, void *, (size_t size), (size))

/* See next.h.  ld.so itself allocates through us before any constructor has run. */
static void find_all(void);

#define X(name, type, parameters, arguments) static COLD type first_##name parameters;
FAMILY(X)
#undef X

/* In one cache line, all but the last: a target that is short of cache pays for one. */
#define X(name, type, parameters, arguments) type(*name) parameters;
static struct {
	FAMILY(X)
}
#undef X
#define X(name, type, parameters, arguments) .name = first_##name,
next __attribute__((aligned(64))) = { FAMILY(X) };
#undef X

#define X(name, type, parameters, arguments)                                                       \
	NEXT_FIRST(next, find_all, name, type, parameters, arguments)
FAMILY(X)
#undef X

static COLD void find_all(void)
{
#define X(name, type, parameters, arguments)                                                       \
	NEXT_FIND(next, name, type, parameters)                                                    \
	alloc_note_outer(#name);
	FAMILY(X)
#undef X
}

/* The table is filled before anybody comes here. */
size_t allocator_list_family(struct slots_function *out)
{
	struct slots_function all[] = {
#define X(name, type, parameters, arguments) { #name, (void *)name },
		FAMILY(X)
#undef X
	};

	if (next.free == first_free)
		find_all();
	memcpy(out, all, sizeof(all));
	return ARRAY_SIZE(all);
}

/* ---- before we are relocated */

/* For this call and what follows; relocation puts first_NAME there. */
static COLD NOINLINE void find_early(void)
{
	heap_left = 0; /* as it was */
#define X(name, type, parameters, arguments)                                                       \
	next.name = (type(*) parameters)lookup_next_early(#name);
	FAMILY(X)
#undef X
}

/* For hooks off the fast way: nothing else of ours can be called then. */
#define NEXT (*(UNLIKELY(hooks_are_early()) ? (find_early(), &next) : &next))

static bool is_due(size_t size)
{
	return LIKELY(!hooks_are_early()) && alloc_begin_sample(size);
}

/* ---- the hooks */

static COLD NOINLINE void *sampled_malloc(size_t size)
{
	void *p = NEXT.malloc(size);

	return is_due(size) ? alloc_recorded(p, size, &CALLER()) : p;
}

EXPORT void *malloc(size_t size)
{
	if (LIKELY(!heap_count_down(size)))
		return next.malloc(size);
	return sampled_malloc(size);
}

static COLD NOINLINE void *sampled_calloc(size_t count, size_t size)
{
	void *p = NEXT.calloc(count, size);

	return is_due(count * size) ? alloc_recorded(p, count * size, &CALLER()) : p;
}

/* An overflow makes a wrong size here and a failure there; a failure is not recorded. */
EXPORT void *calloc(size_t count, size_t size)
{
	if (LIKELY(!heap_count_down(count * size)))
		return next.calloc(count, size);
	return sampled_calloc(count, size);
}

static COLD NOINLINE void *sampled_memalign(size_t align, size_t size)
{
	void *p = NEXT.memalign(align, size);

	return is_due(size) ? alloc_recorded(p, size, &CALLER()) : p;
}

EXPORT void *memalign(size_t align, size_t size)
{
	if (LIKELY(!heap_count_down(size)))
		return next.memalign(align, size);
	return sampled_memalign(align, size);
}

static COLD NOINLINE void *sampled_aligned_alloc(size_t align, size_t size)
{
	void *p = NEXT.aligned_alloc(align, size);

	return is_due(size) ? alloc_recorded(p, size, &CALLER()) : p;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (LIKELY(!heap_count_down(size)))
		return next.aligned_alloc(align, size);
	return sampled_aligned_alloc(align, size);
}

static COLD NOINLINE int sampled_posix_memalign(void **out, size_t align, size_t size)
{
	int err = NEXT.posix_memalign(out, align, size);

	if (is_due(size) && err == 0)
		alloc_recorded(*out, size, &CALLER());
	return err;
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	if (LIKELY(!heap_count_down(size)))
		return next.posix_memalign(out, align, size);
	return sampled_posix_memalign(out, align, size);
}

static COLD NOINLINE void *sampled_valloc(size_t size)
{
	void *p = NEXT.valloc(size);

	return is_due(size) ? alloc_recorded(p, size, &CALLER()) : p;
}

EXPORT void *valloc(size_t size)
{
	if (LIKELY(!heap_count_down(size)))
		return next.valloc(size);
	return sampled_valloc(size);
}

static COLD NOINLINE void *sampled_pvalloc(size_t size)
{
	void *p = NEXT.pvalloc(size);

	return is_due(size) ? alloc_recorded(p, size, &CALLER()) : p;
}

EXPORT void *pvalloc(size_t size)
{
	if (LIKELY(!heap_count_down(size)))
		return next.pvalloc(size);
	return sampled_pvalloc(size);
}

static COLD NOINLINE void sampled_free(void *p)
{
	alloc_forget(p);
	next.free(p);
}

EXPORT void free(void *p)
{
	if (LIKELY(!live_maybe(p))) {
		next.free(p);
		return;
	}
	sampled_free(p);
}

static void *moved(void *p, size_t size)
{
	struct alloc_moved old;
	void *q;

	alloc_take_out(&old, p);
	q = NEXT.realloc(p, size);
	alloc_settle(&old, !q && size);
	return q;
}

static COLD NOINLINE void *untracked_realloc(void *p, size_t size)
{
	return moved(p, size);
}

static COLD NOINLINE void *sampled_realloc(void *p, size_t size)
{
	void *q = moved(p, size);

	return is_due(size) ? alloc_recorded(q, size, &CALLER()) : q;
}

EXPORT void *realloc(void *p, size_t size)
{
	if (UNLIKELY(heap_count_down(size)))
		return sampled_realloc(p, size);
	if (UNLIKELY(live_maybe(p)))
		return untracked_realloc(p, size);
	return next.realloc(p, size);
}
