/* heap: the heap profile.  May include unwind, symbols and below. */
/*
 * Sampled mappings that are there: ranges of addresses, unlike the blocks of live.h, because
 * what is mapped at once may go in pieces, and be mapped over.
 *
 * Whatever changed the address space tells of it after the call, with the time at which
 * the call began (mapped_now()): what another thread has mapped there since is newer, and
 * stays.
 *
 * A lock of its own, held for a scan of the table.  Who meets itself there (a signal
 * handler), or waits for longer than such a scan takes, gives up, and a counter moves.
 *
 * Context: hook.
 */
#ifndef SAMPLER_HEAP_MAPPED_H
#define SAMPLER_HEAP_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/heap/live.h"

/* How many there are room for. */
#define MAPPED_MAX 4096

/* Makes room.  Context: init, once. */
void mapped_init(void);

/* What is told of later is compared with this. */
uint64_t mapped_now(void);

/* False: there is no room (heap_live_dropped). */
bool mapped_add(uint64_t start, size_t size, struct live_block block);

/*
 * Nothing older than `since` is in the range any more.  `freed` is called for each part:
 * `block.blocks` is 0 for all parts of a mapping but the last, and `is_last` tells that
 * nobody has its site any more.
 */
void mapped_cut(uint64_t start, size_t size, uint64_t since,
		void (*freed)(struct live_block part, bool is_last));

/* Calls fn with a copy of each.  Context: listener. */
void mapped_each(void (*fn)(const struct live_block *block, void *arg), void *arg);

/* Nobody holds the lock.  Context: child. */
void mapped_after_fork(void);

#endif
