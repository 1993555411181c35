/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * What the machine code says about a frame: is there a call in front of a
 * return address, and whom does it call; how far below BP does a function's
 * prologue put SP.  Used to tell a frame that is in use from what earlier calls
 * have left on the stack.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_CALL_SITE_H
#define SAMPLER_UNWIND_CALL_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How well a return address fits to a frame of the function that begins at `callee`. */
enum call_fit {
	CALL_NONE,  /* no call in front of it */
	CALL_OTHER, /* it calls another function (which may have jumped to this one) */
	CALL_OPEN,  /* it calls through a register or memory: could be any */
	CALL_EXACT, /* it calls this function */
};

enum call_fit call_site_fit(uint64_t return_address, uint64_t callee);

/*
 * How many bytes SP is below BP in a frame of the function at `start` that is at `pc`;
 * -1 when BP is not set up as a frame pointer.  is_call: a call returns to `pc`, and
 * its arguments on the stack are counted; else the thread itself is there.  The answer
 * may be wrong (a variable frame, a jump into the middle), so the caller verifies it.
 */
int64_t frame_depth_at(uint64_t start, uint64_t pc, bool is_call);

#endif
