/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Sites of calls: which site of a table the calling thread is at.  A hook walks
 * its own stack by the rows that are known; where one is missing it leaves a
 * copy of the stack, and the listener finishes the walk and learns the rows.  A
 * single copy waits until the listener is awake for some other reason, so that an
 * idle program's rare new stack wakes nobody.  docs/PROTOCOLS.md, "Sites".
 */
#ifndef SAMPLER_UNWIND_SITE_AT_H
#define SAMPLER_UNWIND_SITE_AT_H

#include <stdbool.h>

#include "sampler/unwind/learn.h"
#include "sampler/unwind/ring.h"
#include "sampler/unwind/sites.h"
#include "sampler/unwind/stacks.h"
#include "sampler/unwind/walk.h"

/*
 * The site of a call from `caller` (pc is a return address).  `leaf` is the
 * pseudo frame that names what was called; 0: the caller is the leaf.  Never
 * NULL.  Context: hook, not in a forked child.
 */
struct site *site_at(struct site_table *t, uint64_t leaf, const struct frame_regs *caller);

/* So much is recorded that thousands with the same new stack come at once.  Context: init. */
void site_at_expect_many(void);

/* Whether a stack is on its way to the listener.  Context: hook. */
bool site_at_has_pending(void);

/*
 * Finishes stacks that hooks could not follow, of all tables: those that are there when it
 * begins.  Returns whether there are more by then.  Context: listener.
 */
bool site_at_drain(void);

/*
 * Until there are none, or hooks have been faster many times.  What comes later is in a
 * snapshot without its stack.  Context: listener.
 */
void site_at_drain_all(void);

/*
 * Makes the frames of a stack that was finished what a hook would have made them: `leaf` is put
 * before them, if it is not 0, and they are cut to what a site holds.  Context: listener.
 */
void site_at_finish_walk(struct walk *w, uint64_t leaf);

/*
 * Where stacks on their way to the listener lie, for who reads those of another process
 * (other_sites.h): there is one ring or none.
 */
#define SITE_AT_RINGS	   2
#define SITE_AT_RING_BYTES (16UL << 20) /* the larger one's */
const struct ring *site_at_ring_place(int which);

/* Stacks on their way to the listener are whole or not there.  Context: child. */
void site_at_after_fork(void);

/*
 * Fills `out` with the sites of `t` of which anything was counted (total[0] is
 * not 0); `values` adds a site's totals to the values of its stack.  From the epoch
 * `since` on: 0 is all, t->epoch what this process counted itself.  Those of which
 * `is_first` says so (NULL: all) are sure of a place, should `out` become full.
 * Context: listener.
 */
void sites_snapshot(struct site_table *t, struct stack_table *out, uint32_t since,
		    void (*values)(const struct site *s, int64_t *value),
		    bool (*is_first)(const struct site *s));

#endif
