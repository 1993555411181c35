/* heap: the heap profile.  May include unwind, symbols and below. */
/*
 * Sampled blocks that are alive: address -> size and site.  And the filter that
 * tells free() in one look that a block is not among them.
 *
 * The filter has one byte per KiB of address space (modulo 4 GiB): how many live
 * samples start there.  So it is as small as the target's working set is, and on
 * a heap with one sample in 512 KiB nearly every look says no.
 *
 * The table is a row of levels, each some times as large as the one before.  In
 * each level an address has one bucket of eight slots where it may be, so that a
 * block that is not there costs one cache line a level.  No lock: a slot belongs
 * to who swaps its address for BUSY (docs/PROTOCOLS.md, "Live blocks").
 */
#ifndef SAMPLER_HEAP_LIVE_H
#define SAMPLER_HEAP_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/reserve.h"
#include "sampler/unwind/sites.h"

/* Modulo 4 GiB, which costs no instruction. */
static inline uint32_t live_place(const void *p)
{
	return (uint32_t)(uintptr_t)p >> 10;
}

/* False: `p` is certainly not in the table.  Context: hook. */
static inline bool live_maybe(const void *p)
{
	return RACY_READ(reserve.live_filter[live_place(p)]) != 0;
}

struct live_block {
	uint64_t blocks; /* what it stands for, in 1/WEIGHT_ONE: what it was counted as is taken off
			  */
	uint64_t bytes;
	struct site *site;
	uint32_t born_s; /* when it was recorded, CLOCK_MONOTONIC; 0: not known */
};

/*
 * Adds a block, before the target knows its address.  False when there is no
 * room (heap_live_dropped).  Context: hook.
 */
bool live_add(const void *p, struct live_block block);

/* Takes a block out, while nobody else can have its address.  False if it is not there.  Context:
 * hook. */
bool live_remove(const void *p, struct live_block *out);

/* Empties the table, and the filter with it; calls fn, if not NULL, for each block.  Context: init,
 * child. */
void live_take_all(void (*fn)(struct live_block block));

/* Looks at every slot.  Context: listener. */
uint64_t live_count(void);

/* Calls fn with a copy of each block.  Context: listener. */
void live_each(void (*fn)(const struct live_block *block, void *arg), void *arg);

/*
 * NULL, or what is wrong with table and filter, in words.  While no hook is inside.
 * Context: tests.
 */
const char *live_check(void);

#endif
