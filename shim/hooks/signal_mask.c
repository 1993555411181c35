/*
 * What a program does and sees of the signal of our ticks, which it does not know of.
 *
 * rt_sigprocmask by syscall(), the one way by which a program can block the signal of
 * our ticks: every function of libc that has a mask leaves that signal out.
 *
 * While a profile runs, such a thread has its timer stopped first, so that no tick of
 * ours is ever pending where the program would meet it.
 *
 * Within a handler that blocks the signal a tick is pending at times (handlers on
 * alternate stacks do, action_masks.h; and those whose mask was filled by memset): it is
 * taken out of what sigpending says.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/kernel_action.h"
#include "sampler/cpu/roster.h"
#include "shim/hooks/signal_syscall.h"
#include "shim/hooks/user_memory.h"
#include "shim/real/real.h"

static bool is_sampled(void)
{
	return roster_may_tick() && roster_is_here() && !process_is_borrowed() &&
	       !sandbox_is_noted();
}

/*
 * The timer stops before the mask changes; but the listener may have been about to
 * start one, or sampling has begun since, so the hook looks once more behind the call.
 */
long signal_syscall_mask(long how, const uint64_t *set, uint64_t *old, long size)
{
	uint64_t mask = 0; /* `old` may be the same memory */
	bool has_carrier = is_sampled() && set && user_copy(&mask, set, sizeof(mask)) &&
			   mask & SIGNAL_BIT(CARRIER);
	bool blocks = has_carrier && how != SIG_UNBLOCK;
	long err;

	if (blocks)
		roster_thread_blocks();
	err = real()->syscall(SYS_rt_sigprocmask, how, set, old, size);
	if (!is_sampled() || !set)
		return err;
	if (blocks && err == 0)
		roster_thread_blocked();
	else if (blocks || has_carrier || how == SIG_SETMASK)
		roster_thread_unblocks();
	return err;
}

static void hide_tick(uint64_t *pending)
{
	if (carrier_signal())
		*pending &= ~SIGNAL_BIT(CARRIER);
}

EXPORT int sigpending(sigset_t *set)
{
	int err = real()->sigpending(set);

	if (err == 0)
		hide_tick((uint64_t *)set);
	return err;
}

long signal_syscall_pending(uint64_t *set, long size)
{
	long err = real()->syscall(SYS_rt_sigpending, set, size);

	if (err == 0 && size >= (long)sizeof(*set))
		hide_tick(set);
	return err;
}
