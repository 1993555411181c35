/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The program's handlers that run on alternate stacks block the carrier: a tick on
 * top of one could overflow the stack, and the kernel would end the program.
 *
 * For that the carrier is added to the mask that the program asks for, and taken
 * out again of what it reads back.  Everything about it is here: which handlers
 * these are, which signal was added to which mask, and that they are gone over again
 * when another signal is going to be the carrier (which is so when the program takes
 * the expected one for itself).
 *
 * A call of sigaction(2):
 *
 *	action_mask_begin(&c, sig, act);
 *	the real call, with c.act
 *	while (it succeeds and action_mask_end(&c))
 *		the real call once more, with c.act and without `old`
 *	action_mask_hide(&c, old), if it has an `old`
 */
#ifndef SAMPLER_CPU_ACTION_MASKS_H
#define SAMPLER_CPU_ACTION_MASKS_H

#include <signal.h>
#include <stdbool.h>

struct action_change {
	const struct sigaction *act; /* what to tell the kernel */
	const struct sigaction *wanted;
	struct sigaction changed;
	int sig;
	int added;  /* the carrier, to c->act; 0: nothing */
	int hidden; /* the same, to what the kernel had before */
	int tries;
	unsigned turn; /* of action_masks_revisit() with this signal */
};

/* Context: hook. */
void action_mask_begin(struct action_change *c, int sig, const struct sigaction *act);

/*
 * The call has succeeded.  True: what it set may have been overwritten with what was
 * there before, or its mask is about another carrier by now: make it again.
 * Context: hook.
 */
bool action_mask_end(struct action_change *c);

/* Makes of the kernel's action what the program had asked for.  Context: hook. */
void action_mask_hide(const struct action_change *c, struct sigaction *old);

/* All handlers on alternate stacks block the expected carrier.  Context: listener, hook, init. */
void action_masks_revisit(void);

#endif
