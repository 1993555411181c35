/*
 * Functions of allocators besides malloc and its family: the C++ operators, and those
 * that only some allocators have.
 *
 * Libstdc++'s operators call malloc, as nearly all others do.  So do most functions that
 * wrap one.  Only where the object with the next definition is the allocator itself,
 * which is known by its having malloc too, a call is counted; else our hook is one
 * jump.  See docs/DESIGN.md, "Heap".
 *
 * A failing operator new throws through our frame, which has nothing to clean up.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/heap/heap.h"
#include "shim/hooks/alloc_sample.h"
#include "shim/hooks/allocator.h"
#include "shim/real/lookup.h"

static void *without_mallocx(size_t size, int flags);

static void *without_reallocarray(void *p, size_t count, size_t size);

/*
 * X(name, parameters, arguments, bytes, when there is no next definition)
 *
 * The last is for objects that asked whether the program has the name (by a weak
 * reference, which we satisfy).
 */
#define ALLOCATES(X)                                                                               \
	X(_Znwm, (size_t n), (n), n, malloc(n))                                                    \
	X(_Znam, (size_t n), (n), n, malloc(n))                                                    \
	X(_ZnwmRKSt9nothrow_t, (size_t n, const void *nothrow), (n, nothrow), n, malloc(n))        \
	X(_ZnamRKSt9nothrow_t, (size_t n, const void *nothrow), (n, nothrow), n, malloc(n))        \
	X(_ZnwmSt11align_val_t, (size_t n, size_t align), (n, align), n, memalign(align, n))       \
	X(_ZnamSt11align_val_t, (size_t n, size_t align), (n, align), n, memalign(align, n))       \
	X(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *nothrow),       \
	  (n, align, nothrow), n, memalign(align, n))                                              \
	X(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *nothrow),       \
	  (n, align, nothrow), n, memalign(align, n))                                              \
	X(mallocx, (size_t n, int flags), (n, flags), n, without_mallocx(n, flags))

/* X(name, parameters, arguments, bytes, when there is no next definition); p is the old block */
#define MOVES(X)                                                                                   \
	X(rallocx, (void *p, size_t n, int flags), (p, n, flags), n, realloc(p, n))                \
	X(reallocarray, (void *p, size_t count, size_t n), (p, count, n), count *n,                \
	  without_reallocarray(p, count, n))

/* X(name, parameters, arguments); p is the block */
#define FREES(X)                                                                                   \
	X(_ZdlPv, (void *p), (p))                                                                  \
	X(_ZdaPv, (void *p), (p))                                                                  \
	X(_ZdlPvm, (void *p, size_t n), (p, n))                                                    \
	X(_ZdaPvm, (void *p, size_t n), (p, n))                                                    \
	X(_ZdlPvRKSt9nothrow_t, (void *p, const void *nothrow), (p, nothrow))                      \
	X(_ZdaPvRKSt9nothrow_t, (void *p, const void *nothrow), (p, nothrow))                      \
	X(_ZdlPvSt11align_val_t, (void *p, size_t align), (p, align))                              \
	X(_ZdaPvSt11align_val_t, (void *p, size_t align), (p, align))                              \
	X(_ZdlPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align))                \
	X(_ZdaPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align))                \
	X(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *nothrow),       \
	  (p, align, nothrow))                                                                     \
	X(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *nothrow),       \
	  (p, align, nothrow))                                                                     \
	X(dallocx, (void *p, int flags), (p, flags))                                               \
	X(sdallocx, (void *p, size_t n, int flags), (p, n, flags))                                 \
	X(cfree, (void *p), (p))                                                                   \
	X(free_sized, (void *p, size_t n), (p, n))                                                 \
	X(free_aligned_sized, (void *p, size_t align, size_t n), (p, align, n))

#define X(name, parameters, ...)                                                                   \
	void *name parameters;                                                                     \
	static COLD void *first_##name parameters;                                                 \
	static void *counted_##name parameters;
ALLOCATES(X)
MOVES(X)
#undef X
#define X(name, parameters, arguments)                                                             \
	void name parameters;                                                                      \
	static COLD void first_##name parameters;                                                  \
	static void counted_##name parameters;
FREES(X)
#undef X

struct functions {
#define X(name, parameters, ...) void *(*name)parameters;
	ALLOCATES(X)
	MOVES(X)
#undef X
#define X(name, parameters, arguments) void(*name) parameters;
	FREES(X)
#undef X
};

/* What the hooks jump to: the next definition, or what counts and then calls it. */
static struct functions target = {
#define X(name, ...) .name = first_##name,
	ALLOCATES(X) MOVES(X) FREES(X)
#undef X
};
static struct functions next; /* NULL: there is none */

/* ---- which calls are counted */

/* Libc's own reallocarray calls realloc. */
static bool is_of_allocator(const struct lookup_found *f)
{
	return !f->is_libc && lookup_defines(f->in, "malloc");
}

/* Two threads may do this at once: both write the same values. */
#define FIND(name)                                                                                 \
	if (lookup_find_next(#name, &found)) {                                                     \
		next.name = (__typeof__(next.name))found.at;                                       \
		__atomic_store_n(&target.name,                                                     \
				 is_of_allocator(&found) ? counted_##name : next.name,             \
				 __ATOMIC_RELEASE);                                                \
	}

static COLD NOINLINE void find_all(void)
{
	struct lookup_found found;

#define X(name, ...)                                                                               \
	FIND(name)                                                                                 \
	if (target.name == counted_##name)                                                         \
		alloc_note_outer(#name);
	ALLOCATES(X)
	MOVES(X)
#undef X
#define X(name, ...) FIND(name)
	FREES(X)
#undef X
}

void allocator_hide_idle(void)
{
	const char *idle[sizeof(struct functions) / sizeof(void *)];
	size_t count = 0;

	find_all();
#define X(name, ...)                                                                               \
	if (target.name != counted_##name)                                                         \
		idle[count++] = #name;
	ALLOCATES(X)
	MOVES(X)
	FREES(X)
#undef X
	lookup_hide(idle, count);
}

/* ---- no next definition: perhaps there is one by now */

#define X(name, parameters, arguments, bytes, absent)                                              \
	static COLD void *first_##name parameters                                                  \
	{                                                                                          \
		find_all();                                                                        \
		return target.name == first_##name ? (absent) : target.name arguments;             \
	}
ALLOCATES(X)
MOVES(X)
#undef X

#define X(name, parameters, arguments)                                                             \
	static COLD void first_##name parameters                                                   \
	{                                                                                          \
		find_all();                                                                        \
		if (target.name == first_##name)                                                   \
			free(p);                                                                   \
		else                                                                               \
			target.name arguments;                                                     \
	}
FREES(X)
#undef X

/* Flags of jemalloc: the logarithm of the alignment, and whether it is to be zeroed. */
static COLD void *without_mallocx(size_t size, int flags)
{
	void *p = memalign(MAX(1UL << (flags & 0x3f), 16), size);

	return p && flags & 0x40 ? memset(p, 0, size) : p;
}

static COLD void *without_reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

/* ---- the hooks */

#define X(name, parameters, arguments, bytes, absent)                                              \
	static COLD NOINLINE void *sampled_##name parameters                                       \
	{                                                                                          \
		void *p = next.name arguments;                                                     \
                                                                                                   \
		return alloc_begin_sample(bytes) ? alloc_recorded(p, bytes, CALLER()) : p;         \
	}                                                                                          \
                                                                                                   \
	static void *counted_##name parameters                                                     \
	{                                                                                          \
		if (LIKELY(!heap_count_down(bytes)))                                               \
			return next.name arguments;                                                \
		return sampled_##name arguments;                                                   \
	}                                                                                          \
                                                                                                   \
	EXPORT void *name parameters                                                               \
	{                                                                                          \
		return target.name arguments;                                                      \
	}
ALLOCATES(X)
#undef X

#define X(name, parameters, arguments, bytes, absent)                                              \
	static COLD NOINLINE void *untracked_##name parameters                                     \
	{                                                                                          \
		struct alloc_moved old = alloc_take_out(p);                                        \
		void *q = next.name arguments;                                                     \
                                                                                                   \
		alloc_settle(&old, !q && (bytes) != 0);                                            \
		return q;                                                                          \
	}                                                                                          \
                                                                                                   \
	static COLD NOINLINE void *sampled_##name parameters                                       \
	{                                                                                          \
		void *q = untracked_##name arguments;                                              \
                                                                                                   \
		return alloc_begin_sample(bytes) ? alloc_recorded(q, bytes, CALLER()) : q;         \
	}                                                                                          \
                                                                                                   \
	static void *counted_##name parameters                                                     \
	{                                                                                          \
		if (UNLIKELY(heap_count_down(bytes)))                                              \
			return sampled_##name arguments;                                           \
		if (UNLIKELY(live_maybe(p)))                                                       \
			return untracked_##name arguments;                                         \
		return next.name arguments;                                                        \
	}                                                                                          \
                                                                                                   \
	EXPORT void *name parameters                                                               \
	{                                                                                          \
		return target.name arguments;                                                      \
	}
MOVES(X)
#undef X

#define X(name, parameters, arguments)                                                             \
	static COLD NOINLINE void sampled_##name parameters                                        \
	{                                                                                          \
		alloc_forget(p);                                                                   \
		next.name arguments;                                                               \
	}                                                                                          \
                                                                                                   \
	static void counted_##name parameters                                                      \
	{                                                                                          \
		if (UNLIKELY(live_maybe(p)))                                                       \
			sampled_##name arguments;                                                  \
		else                                                                               \
			next.name arguments;                                                       \
	}                                                                                          \
                                                                                                   \
	EXPORT void name parameters                                                                \
	{                                                                                          \
		target.name arguments;                                                             \
	}
FREES(X)
#undef X
