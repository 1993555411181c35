/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * The function that left no frame: its last call was a jump, which compilers make of
 * `return unlock(m);`.  A walk goes from what was called to the caller's caller.  But the
 * caller's call says what it has called, and if that is another function than
 * the one that we are in, it was there and has left by a jump.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_TAIL_CALL_H
#define SAMPLER_UNWIND_TAIL_CALL_H

#include <stdint.h>

/*
 * The frame of the function that was called where this frame (of a caller) is, if the call
 * names it and it is none of the linker's stubs; 0: not known.
 */
uint64_t tail_call_callee(uint64_t caller);

#endif
