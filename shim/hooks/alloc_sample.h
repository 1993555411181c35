/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * What the hooks on allocation functions do when a sample is due, or a block may be a
 * sampled one.
 *
 * An allocator whose function calls another one by its public name comes to two hooks
 * for one block.  Both count down, and what is due in the inner call is left out: the
 * gap is drawn anew, and since distances to the next sample have no memory the outer
 * calls are sampled as if there were no inner ones.
 *
 * Context: hook.
 */
#ifndef SHIM_HOOKS_ALLOC_SAMPLE_H
#define SHIM_HOOKS_ALLOC_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/arch/arch.h"
#include "sampler/heap/heap.h"
#include "sampler/unwind/hook_walk.h"

/* The countdown says that a sample is due; false: there is none after all. */
bool alloc_begin_sample(size_t size);

/* Records `p`, which may be NULL, and returns it. */
void *alloc_recorded(void *p, size_t size, const struct frame_regs *caller);

/* The same of memory that is not malloc's; `leaf` is the call (PSEUDO_CALL_mmap...). */
void alloc_mapped(const void *p, size_t size, uint64_t leaf, const struct frame_regs *caller);

/* What was mapped there before `since` (mapped_now()) is not any more. */
void alloc_unmapped(const void *p, size_t size, uint64_t since);

/* `p` is about to be freed; live_maybe(p) said so. */
void alloc_forget(const void *p);

/*
 * `p` may be about to move or to be freed, by a call that can fail.  It is taken out
 * first, because its address may soon be another's, and after the call put back if it
 * stays.
 */
struct alloc_moved {
	void *p;
	bool was_live;
	struct live_block block;
};

void alloc_take_out(struct alloc_moved *old, void *p);
void alloc_settle(const struct alloc_moved *old, bool stays);

/* What the next definition of `name` calls is nested, unless that is libc's. */
void alloc_note_outer(const char *name);

#endif
