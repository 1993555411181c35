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
#include "shim/hooks/alloc_names.h"
#include "shim/hooks/alloc_sample.h"
#include "shim/hooks/allocator.h"
#include "shim/hooks/early.h"
#include "shim/real/lookup.h"

static void *without_mallocx(size_t size, int flags);
static void *without_reallocarray(void *p, size_t count, size_t size);

#define X(name, parameters, ...)                                                                   \
	void *name parameters;                                                                     \
	static COLD void *first_##name parameters;                                                 \
	static void *counted_##name parameters;
ALLOCATES(X)
MOVES(X)
LOSES(X)
#undef X
#define X(name, parameters, arguments)                                                             \
	void name parameters;                                                                      \
	static COLD void first_##name parameters;                                                  \
	static void counted_##name parameters;
FREES(X)
#undef X
#define X(name, parameters, ...)                                                                   \
	size_t name parameters;                                                                    \
	static COLD size_t first_##name parameters;                                                \
	static size_t counted_##name parameters;
RESIZES(X)
#undef X

struct functions {
#define X(name, parameters, ...) void *(*name)parameters;
	ALLOCATES(X)
	MOVES(X)
	LOSES(X)
#undef X
#define X(name, parameters, arguments) void(*name) parameters;
	FREES(X)
#undef X
#define X(name, parameters, ...) size_t(*name) parameters;
	RESIZES(X)
#undef X
};

/* What the hooks jump to: the next definition, or what counts and then calls it. */
static struct functions target = {
#define X(name, ...) .name = first_##name,
	ALLOCATES(X) MOVES(X) LOSES(X) FREES(X) RESIZES(X)
#undef X
};
static struct functions next; /* NULL: there is none */

/* ---- which calls are counted */

/* Libc's own reallocarray calls realloc. */
static bool is_of_allocator(const struct lookup_found *f)
{
	return !f->is_libc && lookup_defines(f->in, "malloc");
}

/* Most programs have neither, and names are looked for in every object. */
struct allocators {
	bool mimalloc, tcmalloc;
};

static inline bool may_be_there(const char *name, struct allocators has)
{
	if (name[2] != '_')
		return true;
	return name[0] == 'm' ? has.mimalloc : has.tcmalloc;
}

/* Two threads may do this at once: both write the same values. */
#define FIND(name)                                                                                 \
	if (may_be_there(#name, has) && lookup_find_next(#name, &found)) {                         \
		next.name = (__typeof__(next.name))found.at;                                       \
		__atomic_store_n(&target.name,                                                     \
				 is_of_allocator(&found) ? counted_##name : next.name,             \
				 __ATOMIC_RELEASE);                                                \
	}

static COLD NOINLINE void find_all(void)
{
	struct allocators has = { lookup_next("mi_malloc"), lookup_next("tc_malloc") };
	struct lookup_found found;

#define X(name, ...)                                                                               \
	FIND(name)                                                                                 \
	if (target.name == counted_##name)                                                         \
		alloc_note_outer(#name);
	ALLOCATES(X)
	MOVES(X)
	LOSES(X)
#undef X
#define X(name, ...) FIND(name)
	FREES(X)
	RESIZES(X)
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
	LOSES(X)
	FREES(X)
	RESIZES(X)
#undef X
	lookup_hide(idle, count);
}

_Static_assert(sizeof(struct functions) / sizeof(void *) + 9 <= ALLOCATOR_FUNCTIONS_MAX,
	       "there is room for them and for malloc's family");

size_t allocator_list_counted(struct slots_function *out)
{
	size_t count = 0;

	find_all();
#define X(name, ...)                                                                               \
	if (target.name == counted_##name)                                                         \
		out[count++] = (struct slots_function){ #name, (void *)name };
	ALLOCATES(X)
	MOVES(X)
	LOSES(X)
	FREES(X)
	RESIZES(X)
#undef X
	return count;
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
LOSES(X)
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

#define X(name, parameters, arguments, absent)                                                     \
	static COLD size_t first_##name parameters                                                 \
	{                                                                                          \
		find_all();                                                                        \
		return target.name == first_##name ? (absent) : target.name arguments;             \
	}
RESIZES(X)
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

#define X(name, parameters, arguments, ...) EARLY(target, name, void *, parameters, arguments)
ALLOCATES(X)
MOVES(X)
LOSES(X)
#undef X
#define X(name, parameters, arguments) EARLY(target, name, void, parameters, arguments)
FREES(X)
#undef X
#define X(name, parameters, arguments, absent) EARLY(target, name, size_t, parameters, arguments)
RESIZES(X)
#undef X

#define X(name, parameters, arguments, bytes, absent)                                              \
	static COLD NOINLINE void *sampled_##name parameters                                       \
	{                                                                                          \
		void *p = next.name arguments;                                                     \
                                                                                                   \
		return alloc_begin_sample(bytes) ? alloc_recorded(p, bytes, &CALLER()) : p;        \
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
		return CALL_BOUND(target, name, arguments);                                        \
	}
ALLOCATES(X)
#undef X

#define X(name, parameters, arguments, bytes, absent)                                              \
	static COLD NOINLINE void *untracked_##name parameters                                     \
	{                                                                                          \
		struct alloc_moved old;                                                            \
		void *q;                                                                           \
                                                                                                   \
		alloc_take_out(&old, p);                                                           \
		q = next.name arguments;                                                           \
		alloc_settle(&old, !q && (bytes) != 0);                                            \
		return q;                                                                          \
	}                                                                                          \
                                                                                                   \
	static COLD NOINLINE void *sampled_##name parameters                                       \
	{                                                                                          \
		void *q = untracked_##name arguments;                                              \
                                                                                                   \
		return alloc_begin_sample(bytes) ? alloc_recorded(q, bytes, &CALLER()) : q;        \
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
		return CALL_BOUND(target, name, arguments);                                        \
	}
MOVES(X)
#undef X

#define X(name, parameters, arguments, stays, absent)                                              \
	static COLD NOINLINE void *sampled_##name parameters                                       \
	{                                                                                          \
		struct alloc_moved old;                                                            \
		void *q;                                                                           \
                                                                                                   \
		alloc_take_out(&old, p);                                                           \
		q = next.name arguments;                                                           \
		alloc_settle(&old, !q && (stays));                                                 \
		return q;                                                                          \
	}                                                                                          \
                                                                                                   \
	static void *counted_##name parameters                                                     \
	{                                                                                          \
		if (UNLIKELY(live_maybe(p)))                                                       \
			return sampled_##name arguments;                                           \
		return next.name arguments;                                                        \
	}                                                                                          \
                                                                                                   \
	EXPORT void *name parameters                                                               \
	{                                                                                          \
		return CALL_BOUND(target, name, arguments);                                        \
	}
LOSES(X)
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
		CALL_BOUND(target, name, arguments);                                               \
	}
FREES(X)
#undef X

/* It is another block from now on, as if it had been moved to where it is. */
static COLD NOINLINE void resized(void *p, size_t size, bool is_due,
				  const struct frame_regs *caller)
{
	if (is_due && alloc_begin_sample(size))
		alloc_recorded(p, size, caller);
	else if (live_maybe(p))
		alloc_forget(p);
}

#define X(name, parameters, arguments, absent)                                                     \
	static size_t counted_##name parameters                                                    \
	{                                                                                          \
		size_t now = next.name arguments;                                                  \
		bool is_due = now >= n && heap_count_down(n);                                      \
                                                                                                   \
		if (UNLIKELY(is_due || (now >= n && live_maybe(p))))                               \
			resized(p, n, is_due, &CALLER());                                          \
		return now;                                                                        \
	}                                                                                          \
                                                                                                   \
	EXPORT size_t name parameters                                                              \
	{                                                                                          \
		return CALL_BOUND(target, name, arguments);                                        \
	}
RESIZES(X)
#undef X
