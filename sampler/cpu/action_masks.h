/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The program's handlers that run on alternate stacks block the carrier while ticks may come: a
 * tick on top of one could overflow the stack, and the kernel would end the program.
 *
 * For that the carrier is put into the masks of those that are there before the first timer
 * starts, and of those that the program sets meanwhile; and it is taken out when no tick is on
 * its way any more.  So without a profile every handler is as the program set it.
 *
 * The kernel's action is the only record of it: a mask with the carrier and without the other
 * signal that libc keeps to itself has it from us.  (No function of libc puts one of them into a
 * mask, and whoever fills a mask by memset() has both.)
 *
 * A call of sigaction(2) in the program:
 *
 *	action_mask_begin(&c, &asked);
 *	the real call, with the carrier in the mask if c.adds
 *	action_mask_end(old)
 */
#ifndef SAMPLER_CPU_ACTION_MASKS_H
#define SAMPLER_CPU_ACTION_MASKS_H

#include <stdbool.h>
#include <stdint.h>

/* What of an action matters here; libc's and the kernel's differ. */
struct action_asked {
	const void *handler;
	uint64_t flags, mask;
};

struct action_change {
	bool adds; /* the carrier is to be in the mask, and the program did not ask for that */
};

/*
 * Before the first timer starts; nothing, where no hook tells of what the program sets
 * (carrier_know_no_stacks()).  A handler that runs already has the mask that it began with:
 * within.h.  Context: listener; a child that begins to tick.
 */
void action_masks_put_in(void);

/* When no tick can come any more.  A handler that runs has its mask until it returns.
 * Context: listener, hook. */
void action_masks_take_out(void);

/* Ticks may come.  Context: any role. */
bool action_masks_are_in(void);

/* Or they are being changed: a child that is forked now has some.  Context: hook. */
bool action_masks_may_be_in(void);

/* Nobody is inside; nor are ours in the masks.  Context: child. */
void action_masks_after_fork(void);

/* Whether the program has, or had, a handler with the carrier in its mask from us.
 * Context: hook. */
bool action_masks_have_carrier(void);

/* Whether a mask has the carrier from us.  Context: any role. */
bool action_mask_is_ours(uint64_t mask);

/*
 * The handler that runs on an alternate stack where a thread blocks `blocked`, and `before` was
 * its mask when the handler began; NULL: it may be one of several.  `sig` decides between them.
 * Context: listener.
 */
const void *action_mask_tells_handler(uint64_t blocked, uint64_t before, int sig);

/*
 * Whether a handler on an alternate stack may run that leaves the carrier open, where a thread
 * blocks `blocked`, and `before` was its mask when the last one began there.  `silent`: also one
 * that blocks nothing more, of which the masks say nothing.  Context: listener.
 */
bool action_masks_may_be_open(uint64_t blocked, uint64_t before, bool silent);

/* `asked` may be NULL.  Context: hook. */
void action_mask_begin(struct action_change *c, const struct action_asked *asked);

/* `mask` (may be NULL) is what was read back: as the program asked for it.  Context: hook. */
void action_mask_end(uint64_t *mask);

/* The same of what a child of vfork has read.  Context: hook. */
void action_mask_show(uint64_t *mask);

#endif
