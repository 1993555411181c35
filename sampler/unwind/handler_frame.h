/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Where a handler that runs on an alternate stack interrupted its thread: the kernel
 * left a frame with all registers at the top of that stack.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_HANDLER_FRAME_H
#define SAMPLER_UNWIND_HANDLER_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/arch/arch.h"

struct handler_frame {
	uint64_t at; /* of its ucontext_t */
	uint64_t reg[ARCH_REGS];
	uint64_t mask; /* that the interrupted code had */
	int sig;       /* what the frame says; anything, unless the handler has SA_SIGINFO */
};

/*
 * The frame at the top of the alternate stack from `lo` to `hi`: of the handler that runs there, or
 * of the last one that did.  False: nobody has been there.
 */
bool handler_frame_find(uint64_t lo, uint64_t hi, struct handler_frame *f);

/* Whether it is still there, and says the same. */
bool handler_frame_is_same(const struct handler_frame *f);

#endif
