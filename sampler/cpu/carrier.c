#include "sampler/cpu/carrier.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/carrier_choice.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/kernel_action.h"

void carrier_init(int preferred)
{
	carrier_choice_init(preferred);
	action_masks_revisit();
}

static bool is_ours_now(int sig)
{
	struct kernel_action now;

	return kernel_action(sig, NULL, &now) == 0 && now.handler == (void *)carrier_handle;
}

/*
 * What the program set between our look and our choice becomes its wanted action,
 * unless it has said something since.
 */
static void adopt(const struct kernel_action *found, unsigned count_before)
{
	struct sigaction act = { .sa_flags = (int)found->flags };

	if (found->handler == SIG_DFL || found->handler == (void *)carrier_handle ||
	    carrier_wanted_count() != count_before)
		return;
	act.sa_handler = (sighandler_t)found->handler;
	memcpy(&act.sa_mask, &found->mask, sizeof(found->mask));
	carrier_set_wanted(&act, NULL);
}

/*
 * The signal is chosen first and installed when no call is under way that asks the
 * kernel about it, so that none of the program's lands on top of our handler.
 *
 * SA_RESTART, as a tick must not interrupt a system call that could go on.  All
 * signals blocked, so that no handler of the program runs (or jumps away) in the
 * middle of a capture.  SA_ONSTACK: a thread that has an alternate stack may have no
 * room elsewhere (alternate_stacks.h).
 */
static bool install(int sig)
{
	struct kernel_action ours = { .handler = (void *)carrier_handle,
				      .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK |
					       ARCH_SA_RESTORER,
				      .restorer = (void *)pprofshim_sigreturn,
				      .mask = ALL_SIGNALS };
	struct kernel_action found;
	unsigned count_before;

	carrier_believe_in(sig);
	count_before = carrier_wanted_count();
	carrier_wait_for_actions();
	if (kernel_action(sig, &ours, &found) != 0) {
		carrier_believe_in(0);
		return false;
	}
	adopt(&found, count_before);
	action_masks_revisit();
	return true;
}

/* The expected one first: handlers that run now on alternate stacks block that. */
int carrier_acquire(const char **why)
{
	int sig = carrier_signal();

	if (sig && is_ours_now(sig))
		return sig;
	sig = carrier_first_choice();
	if (sig && carrier_is_free(sig) && install(sig))
		return sig;
	for (sig = carrier_next_choice(0); sig; sig = carrier_next_choice(sig)) {
		if (carrier_is_free(sig) && install(sig))
			return sig;
	}
	*why = "the program uses every signal that could carry a tick";
	return 0;
}

void carrier_retire(void)
{
	const struct kernel_action ignore = { .handler = (void *)SIG_IGN };

	if (carrier_signal() && is_ours_now(carrier_signal()))
		kernel_action(carrier_signal(), &ignore, NULL);
}
