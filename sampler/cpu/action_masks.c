#include "sampler/cpu/action_masks.h"

#include <signal.h>
#include <stdatomic.h>

#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"

static atomic_uint_fast64_t added; /* a bit for each signal whose handler's mask has it from us */

static bool is_on_stack(const struct action_asked *a)
{
	return a->flags & SA_ONSTACK && a->handler != SIG_DFL && a->handler != SIG_IGN;
}

/* What a program makes by sigfillset() has not the carrier, but memset() puts it in. */
static bool has_carrier(const struct action_asked *a)
{
	return a->mask & SIGNAL_BIT(CARRIER);
}

/* A number that the kernel will refuse has no bit. */
static uint64_t bit_of(int sig)
{
	return sig > 0 && sig <= 64 ? SIGNAL_BIT(sig) : 0;
}

void action_mask_begin(struct action_change *c, int sig, const struct action_asked *asked)
{
	*c = (struct action_change){ .sig = sig, .sets = asked };
	c->hid = atomic_load(&added) & bit_of(sig);
	c->adds = asked && is_on_stack(asked) && !has_carrier(asked);
}

void action_mask_end(const struct action_change *c, uint64_t *mask)
{
	if (c->adds)
		atomic_fetch_or(&added, bit_of(c->sig));
	else if (c->sets && c->hid)
		atomic_fetch_and(&added, ~bit_of(c->sig));
	if (mask && c->hid)
		*mask &= ~SIGNAL_BIT(CARRIER);
}
