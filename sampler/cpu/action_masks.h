/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The program's handlers that run on alternate stacks block the carrier: a tick on
 * top of one could overflow the stack, and the kernel would end the program.
 *
 * For that the carrier is added to the mask that the program asks for, and taken
 * out again of what it reads back.  A call of sigaction(2):
 *
 *	action_mask_begin(&c, sig, &asked);
 *	the real call, with the carrier in the mask if c.adds
 *	if it has succeeded: action_mask_end(&c, mask of the old one)
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
	int sig;
	bool sets; /* else the program asks only */
	bool adds; /* the carrier is to be in the mask, and the program did not ask for that */
	bool hid;  /* the same, when this call began */
};

/* Whether the program has, or had, a handler with the carrier in its mask from us.
 * Context: hook. */
bool action_masks_have_carrier(void);

/*
 * The handler that runs on an alternate stack where a thread blocks `blocked`, and `before` was
 * its mask when the handler began; NULL: it may be one of several.  `sig` decides between them.
 * Context: listener.
 */
const void *action_mask_tells_handler(uint64_t blocked, uint64_t before, int sig);

/* `asked` may be NULL.  Context: hook. */
void action_mask_begin(struct action_change *c, int sig, const struct action_asked *asked);

/* Notes what was set, and makes of `mask` (may be NULL) what the program had asked for before.
 * Context: hook. */
void action_mask_end(const struct action_change *c, uint64_t *mask);

#endif
