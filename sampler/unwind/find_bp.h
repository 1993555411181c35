/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * The frame pointer of a waiting thread.  The kernel tells SP and PC of a thread
 * that waits, and no other register.  Most code needs no more; a function whose
 * frame is found from BP does.  Its frame lies above SP on the stack that was
 * copied, with the caller's BP and the return address in it, among much that
 * looks the same: what earlier calls have left behind.
 *
 * A place is believed when the return address is behind a call, the stack from
 * there leads to the thread's very first function, and nothing else fits as
 * well.  Otherwise the stack stays cut.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_FIND_BP_H
#define SAMPLER_UNWIND_FIND_BP_H

#include <stdbool.h>

#include "sampler/unwind/walk.h"

/*
 * `w` is the walk of `c` and ended with WALK_NEEDS_BP.  True: c has its BP now
 * and `w` is the whole stack.  False: as before, with the address that was not copied and
 * without which the likeliest place could not be told.
 */
bool find_bp(struct capture *c, struct walk *w);

#endif
