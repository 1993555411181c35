#include "shim/hooks/alloc_sample.h"

#include <stdatomic.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "shim/life/after_fork.h"
#include "shim/life/takeover.h"
#include "shim/real/lookup.h"

/* ---- calls of allocators among themselves */

#define OUTER_MAX 96 /* more than there are hooks */

static struct {
	struct {
		uint64_t start, size;
	} function[OUTER_MAX];
	atomic_size_t count;
} outer;

/* The first call may come to two threads at once: then it is there twice. */
void alloc_note_outer(const char *name)
{
	struct lookup_found found;
	size_t n = atomic_load_explicit(&outer.count, memory_order_relaxed);

	if (n == OUTER_MAX || !lookup_find_next(name, &found) || found.is_libc)
		return;
	outer.function[n].start = (uint64_t)found.at;
	outer.function[n].size = found.size;
	/* release: who sees the count sees the function */
	atomic_store_explicit(&outer.count, n + 1, memory_order_release);
}

static bool is_nested(uint64_t return_address)
{
	size_t n = atomic_load_explicit(&outer.count, memory_order_acquire);

	for (size_t i = 0; i < n; i++)
		if (return_address - outer.function[i].start < outer.function[i].size)
			return true;
	return false;
}

/* ---- samples */

static bool is_recorded(void)
{
	if (UNLIKELY(!process_is_ours()))
		after_fork_enter();
	return process_records_heap();
}

/* How much a dormant child allocates until it asks again whether it still is one. */
#define DORMANT_BYTES (64UL << 20)

static COLD NOINLINE bool begin_sample_in_child(size_t size)
{
	after_fork_enter();
	if (process_is_in_order()) { /* not one whose parent was attached to */
		takeover_settle();
		takeover_heed_call();
	}
	if (process_records_heap())
		return heap_begin_sample(size);
	heap_skip(DORMANT_BYTES);
	return false;
}

bool alloc_begin_sample(size_t size)
{
	return UNLIKELY(!process_is_ours()) ? begin_sample_in_child(size) : heap_begin_sample(size);
}

void *alloc_recorded(void *p, size_t size, const struct frame_regs *caller)
{
	if (p && !is_nested(caller->pc))
		heap_record(p, size, caller);
	return p;
}

void alloc_mapped(const void *p, size_t size, uint64_t leaf, const struct frame_regs *caller)
{
	heap_record_mapped(p, size, leaf, caller);
}

void alloc_unmapped(const void *p, size_t size, uint64_t since)
{
	if (is_recorded())
		heap_unmapped(p, size, since);
}

/* ---- blocks that go */

void alloc_forget(const void *p)
{
	if (is_recorded())
		heap_forget(p);
}

void alloc_take_out(struct alloc_moved *old, void *p)
{
	old->p = p;
	old->was_live = p && live_maybe(p) && is_recorded() && heap_take_out(p, &old->block);
}

void alloc_settle(const struct alloc_moved *old, bool stays)
{
	if (old->was_live && stays)
		heap_put_back(old->p, old->block);
	else if (old->was_live)
		heap_freed(old->block);
}
