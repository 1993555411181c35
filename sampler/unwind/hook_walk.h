/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * A thread walks its own stack, by rows that are known already.
 *
 * It is not walk.h, because a hook may do less and is in more of a hurry: it reads its
 * stack where it lies, and not a copy; asks for rows that exist, and not libunwind for new
 * ones; and has no other registers than SP and BP, so that a signal frame is its end.
 *
 * Context: hook.
 */
#ifndef SAMPLER_UNWIND_HOOK_WALK_H
#define SAMPLER_UNWIND_HOOK_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/unwind/learn.h"
#include "sampler/unwind/sites.h"

struct hook_walk {
	uint64_t frame[SITE_DEPTH_MAX + 1]; /* process/frame.h; leaf first, and labels */
	uint32_t depth;
};

/*
 * Walks from `caller` (pc is a return address); `leaf` (0: none) is put before
 * it, and the thread's labels behind the root.  False when an address is not known yet, or the
 * stack's bounds are not: then the listener has to do it.
 */
bool hook_walk(uint64_t leaf, const struct frame_regs *caller, struct hook_walk *w);

/*
 * The caller of the function that says this: of the hook that it stands in, or
 * that jumped to it.  A macro, because it is about that function.
 */
#define CALLER()                                                                                   \
	((struct frame_regs){ .pc = (uint64_t)__builtin_return_address(0),                         \
			      .sp = ARCH_CALLER_SP(),                                              \
			      .bp = ARCH_CALLER_BP() })

#endif
