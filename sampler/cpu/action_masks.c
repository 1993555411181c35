#include "sampler/cpu/action_masks.h"

#include <signal.h>
#include <stdatomic.h>

#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"

static atomic_uint_fast64_t added; /* a bit for each signal whose handler's mask has it from us */
static atomic_bool had_any;	   /* one of them may still run */

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
	if (c->adds)
		atomic_store_explicit(&had_any, true, memory_order_relaxed);
}

bool action_masks_have_carrier(void)
{
	return atomic_load_explicit(&had_any, memory_order_relaxed);
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

/* What the kernel blocks in a handler. */
static uint64_t mask_within(const struct kernel_action *a, int sig)
{
	return a->mask | (a->flags & SA_NODEFER ? 0 : SIGNAL_BIT(sig));
}

static bool may_run(int sig, uint64_t blocked, uint64_t before, struct kernel_action *a)
{
	return kernel_action(sig, NULL, a) == 0 && a->flags & SA_ONSTACK &&
	       a->handler != (void *)SIG_DFL && a->handler != (void *)SIG_IGN &&
	       (before | mask_within(a, sig)) == blocked;
}

const void *action_mask_tells_handler(uint64_t blocked, uint64_t before, int sig)
{
	const void *found = NULL;
	struct kernel_action a;
	bool several = false;

	if (sig > 0 && sig < _NSIG && may_run(sig, blocked, before, &a) && a.flags & SA_SIGINFO)
		return a.handler;
	for (int i = 1; i < _NSIG; i++) {
		if (i == CARRIER || !may_run(i, blocked, before, &a))
			continue;
		several |= found && found != a.handler;
		found = a.handler;
	}
	return several ? NULL : found;
}
