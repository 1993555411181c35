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

/* Longest prologue that is looked at, in bytes. */
#define PROLOGUE_BYTES 96

/*
 * Reads `len` bytes of code of a function from its first byte on, up to `limit`
 * bytes: how many bytes SP is below BP then.  -1 when BP is not set up as a frame
 * pointer.  Pure.  Stops at the first jump, or instruction that it does not know;
 * *whole tells whether it came to the
 * call that ends at the limit.  Needs 15 bytes beyond an instruction to read it.  The answer may be
 * wrong (a variable frame, a jump into the middle), so the caller has to verify it.
 */
int64_t prologue_depth(const uint8_t *code, size_t len, size_t limit, bool *whole);

/*
 * The same for the function at `start`, for a frame of it that is at `pc`.  is_call:
 * there a call returns to, and arguments on the stack are counted; else the thread
 * itself is there.
 */
int64_t frame_depth_at(uint64_t start, uint64_t pc, bool is_call);

#endif
