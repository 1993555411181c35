/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The program's handlers that run on alternate stacks block the carrier: a tick on
 * top of one could overflow the stack, and the kernel would end the program.
 *
 * For that the carrier is added to the mask that the program asks for, and taken
 * out again of what it reads back.  A call of sigaction(2):
 *
 *	action_mask_begin(&c, sig, act);
 *	the real call, with c.act
 *	if it has succeeded: action_mask_end(&c, old)
 */
#ifndef SAMPLER_CPU_ACTION_MASKS_H
#define SAMPLER_CPU_ACTION_MASKS_H

#include <signal.h>
#include <stdbool.h>

struct action_change {
	const struct sigaction *act; /* what to tell the kernel; NULL: the program asks only */
	struct sigaction changed;
	int sig;
	bool adds; /* the carrier, to c->act */
	bool hid;  /* the same, when this call began */
};

/* `act` may be NULL.  Context: hook. */
void action_mask_begin(struct action_change *c, int sig, const struct sigaction *act);

/* Notes what was set, and makes of `old` (may be NULL) what the program had asked for.
 * Context: hook. */
void action_mask_end(const struct action_change *c, struct sigaction *old);

#endif
