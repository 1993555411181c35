/* heap: the heap profile.  May include unwind, symbols and below. */
/*
 * The heap profile: which sites allocated how much, and what of it is alive.
 * Sampling by bytes (weight.h), always on; the hooks are in shim/hooks/alloc.c.
 */
#ifndef SAMPLER_HEAP_HEAP_H
#define SAMPLER_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/heap/live.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/other_sites.h"
#include "sampler/unwind/stacks.h"

#define HEAP_RATE_DEFAULT 524288 /* bytes per sample on average: Go's and tcmalloc's */

/* value[] of the stacks of a heap profile. */
enum heap_value {
	HEAP_VALUE_ALLOC_OBJECTS,
	HEAP_VALUE_ALLOC_BYTES,
	HEAP_VALUE_INUSE_OBJECTS,
	HEAP_VALUE_INUSE_BYTES,
};

/*
 * Bytes that this thread has still to allocate until the next sample.  Starts at 0,
 * so that a thread's first allocation asks heap_begin_sample(); stays 0 when every
 * allocation is sampled, and so those of 0 bytes too.
 */
extern __thread uint64_t heap_left __attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * The whole of what an allocation that is not sampled costs: a subtraction in
 * memory, and a jump when nothing is left.  Allocators are so fast that each instruction more
 * can be measured.
 */
static inline bool heap_count_down(size_t size)
{
	return UNLIKELY(arch_subtract(&heap_left, size));
}

/*
 * The countdown says that a sample is due: draws the next gap.  False when this
 * allocation is none after all (a thread's first, profiling off, inside ourselves).
 * Context: hook.
 */
bool heap_begin_sample(size_t size);

/* `p` was allocated by `caller` (pc: return address).  Context: hook. */
void heap_record(const void *p, size_t size, const struct frame_regs *caller);

/* `p` is about to be freed; live_maybe(p) said so.  Context: hook. */
void heap_forget(const void *p);

/* Makes room for what heap_record_mapped() is told.  Context: init, once. */
void heap_begin_mappings(void);

/*
 * The same for memory that is not malloc's (mapped.h); `leaf` is the pseudo frame that names
 * the call.  Context: hook.
 */
void heap_record_mapped(const void *p, size_t size, uint64_t leaf, const struct frame_regs *caller);

/* What was mapped there before `since` (mapped_now()) is not any more.  Context: hook. */
void heap_unmapped(const void *p, size_t size, uint64_t since);

/* As heap_forget(), but the block may have to be put back (a realloc that fails).  Context: hook.
 */
bool heap_take_out(const void *p, struct live_block *out);
void heap_put_back(const void *p, struct live_block block);
void heap_freed(struct live_block block);

/* Mean bytes per sample; 1: every allocation; 0: off.  Context: init. */
void heap_set_rate(uint64_t rate);
uint64_t heap_rate(void);
bool heap_is_on(void);

/*
 * What of the program's allocations does not come to the hooks, as bits.
 * Context: init; any role.
 */
#define HEAP_UNSEEN_MALLOC     1U /* its own definition is in front of ours */
#define HEAP_UNSEEN_NEW	       2U /* the same for operator new */
#define HEAP_UNSEEN_OWN_CALLS  4U /* functions of the allocator's own that have no hook */
#define HEAP_UNSEEN_SOME_CALLS 8U /* some of them allocate and are not counted */
void heap_set_unseen(unsigned what);
unsigned heap_unseen(void);

/* Drops what was recorded and records nothing from now on: a dormant shim.  Context: init. */
void heap_turn_off(void);

/*
 * What was recorded is dropped, totals included: frees were not seen for a while.  Context:
 * init, while no hook is in force.
 */
void heap_begin_anew(void);

/* This thread asks heap_begin_sample() again after as many bytes, and then begins anew.  Context:
 * hook. */
void heap_skip(uint64_t bytes);

/*
 * What was recorded is no longer followed: every block counts as freed.
 * Context: child, while nothing is recorded.
 */
void heap_lose_blocks(void);

/* Bytes that samples since the start, or the fork, stand for.  Context: hook. */
uint64_t heap_allocated(void);

/* What was counted before is the parent's.  Context: child. */
void heap_after_fork(void);

/*
 * Fills `t` with the totals of every site, largest first; `own`: without what the process
 * has from its parent.  Context: listener.
 */
void heap_snapshot(struct stack_table *t, bool own);

/* The same of another process: what it has counted since its fork. */
extern const struct other_sites_kind heap_of_other;

/*
 * The same of blocks that have been in use for so long or longer, and without what was
 * allocated: what a leak is.  Ages are known to the second.  Context: listener.
 */
void heap_snapshot_older(struct stack_table *t, bool own, int64_t seconds, bool ages);

/* `ages`: stacks have a label (unwind/stacks.h), and their blocks this age or up to twice of it. */
#define HEAP_AGES 32 /* labels, from 1 on */
static inline int64_t heap_age_s(uint32_t label)
{
	return 1LL << (label - 1);
}

/*
 * The same of when most was in use since the start, or the fork (peak.h): to within a
 * tenth, and as it is now if that is most.  Context: listener.
 */
struct heap_peak {
	int64_t time_ns; /* CLOCK_MONOTONIC; 0: nothing was in use at any time */
	int64_t highest; /* bytes, the highest sum that was seen */
};

void heap_snapshot_peak(struct stack_table *t, struct heap_peak *found);

/* A copy for it, if one is due.  Context: listener. */
void heap_do_due(void);

#endif
