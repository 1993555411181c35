/* heap: the heap profile.  May include unwind, symbols and below. */
/*
 * What was in use when it was most: the sum of all sampled blocks that are alive, and a
 * copy of the sites' numbers (no stacks) from when the sum was highest.  A hook that sees
 * the sum a tenth above the last copy asks for a new one; the listener makes it a moment
 * later.  So a program that grows by a thousand times costs 73 copies, and one that does not
 * grow an addition for each sample.
 */
#ifndef SAMPLER_HEAP_PEAK_H
#define SAMPLER_HEAP_PEAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/unwind/sites.h"
#include "sampler/unwind/stacks.h"

struct peak {
	atomic_int_fast64_t live;    /* bytes in use now; written by hooks */
	atomic_int_fast64_t due;     /* at this sum a copy is wanted; written by the listener */
	atomic_int_fast64_t highest; /* that was seen when a copy was wanted */
	atomic_bool is_wanted;
};

extern struct peak peak;

/* Asks the listener for a copy.  Context: hook. */
void peak_want(int64_t live);

/* So many bytes more are in use, or less.  Context: hook. */
static inline void peak_count(int64_t bytes)
{
	int64_t live = atomic_fetch_add_explicit(&peak.live, bytes, memory_order_relaxed) + bytes;

	if (UNLIKELY(live >= atomic_load_explicit(&peak.due, memory_order_relaxed)))
		peak_want(live);
}

/* What of a site is in use. */
typedef void (*peak_get)(const struct site *s, int64_t *blocks, int64_t *bytes);

/*
 * Copies the numbers of the sites from `epoch` on if a copy is wanted, or with `now` if
 * more is in use than at the last one.  Context: listener.
 */
void peak_look(struct site_table *t, uint32_t epoch, peak_get get, bool now);

/* Calls fn for each site of the copy.  Context: listener. */
void peak_each(void (*fn)(const struct site *s, int64_t blocks, int64_t bytes, void *arg),
	       void *arg);

/* When the copy was made, CLOCK_MONOTONIC ns; 0: there is none.  Context: listener. */
int64_t peak_time_ns(void);

/* The highest sum that was seen, bytes.  Context: listener. */
int64_t peak_highest(void);

/* Nothing was in use yet.  Context: init. */
void peak_begin_anew(void);

/* What the parent has is the parent's.  Context: child. */
void peak_after_fork(void);

#endif
