/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Learns unwind rows from libunwind, which runs only here, only on the
 * listener, and only through its remote interface: it sees made-up registers or
 * a captured copy, and unwind tables through fault-proof reads.  So none of its
 * locks, pipes or wild reads can reach the target.
 *
 * Symbolic probing: start a cursor at an address with made-up SP and BP that
 * are far apart, step once, and see in whose neighbourhood the new SP, the
 * saved return address and the saved BP are.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_LEARN_H
#define SAMPLER_UNWIND_LEARN_H

#include <stdbool.h>

#include "sampler/unwind/capture.h"
#include "sampler/unwind/rows.h"

/* The row for look-up address `pc`, found or learned; never ROW_UNKNOWN. */
struct row learn_row(uint64_t pc);

/* Where the function that holds `pc` begins, by its unwind data; 0 if that is not known. */
uint64_t learn_function_start(uint64_t pc);

struct frame_regs {
	uint64_t pc, sp, bp;
};

/* From now on learn_step_captured() is about `c`, which stays where it is until the next start. */
void learn_start_capture(const struct capture *c);

/*
 * The registers `frames` frames beyond the leaf, found with all registers, for
 * frames that no row can express.  Goes on from where the last call for this
 * capture stopped, so `frames` only grows.  False when libunwind cannot, or
 * needs memory that was not captured; the capture is then at its end.
 */
bool learn_step_captured(uint32_t frames, struct frame_regs *out);

/* Rows of a range that changed, and tables cached from it, are gone.  Whether there were any rows.
 */
bool learn_forget(uint64_t start, uint64_t limit);

/* libunwind's space is not there; the rows are.  Context: child. */
void learn_after_fork(void);

/* Gives libunwind's and the rows' memory back until they are needed again. */
void learn_release(void);

#endif
