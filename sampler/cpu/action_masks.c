#include "sampler/cpu/action_masks.h"

#include <stdatomic.h>
#include <stdint.h>

#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"

static atomic_uint_fast64_t added; /* a bit for each signal whose handler's mask has it from us */

static bool is_on_stack(const struct sigaction *act)
{
	return act->sa_flags & SA_ONSTACK && act->sa_handler != SIG_DFL &&
	       act->sa_handler != SIG_IGN;
}

/* What a program makes by sigfillset() has not the carrier, but memset() puts it in. */
static bool has_carrier(const struct sigaction *act)
{
	return act->sa_mask.__val[0] & SIGNAL_BIT(CARRIER);
}

/* A number that the kernel will refuse has no bit. */
static uint64_t bit_of(int sig)
{
	return sig > 0 && sig <= 64 ? SIGNAL_BIT(sig) : 0;
}

void action_mask_begin(struct action_change *c, int sig, const struct sigaction *act)
{
	*c = (struct action_change){ .act = act, .sig = sig };
	c->hid = atomic_load(&added) & bit_of(sig);
	c->adds = act && is_on_stack(act) && !has_carrier(act);
	if (!c->adds)
		return;
	c->changed = *act;
	c->changed.sa_mask.__val[0] |= SIGNAL_BIT(CARRIER);
	c->act = &c->changed;
}

void action_mask_end(const struct action_change *c, struct sigaction *old)
{
	if (c->adds)
		atomic_fetch_or(&added, bit_of(c->sig));
	else if (c->act && c->hid)
		atomic_fetch_and(&added, ~bit_of(c->sig));
	if (old && c->hid)
		old->sa_mask.__val[0] &= ~SIGNAL_BIT(CARRIER);
}
