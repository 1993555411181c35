#include "sampler/cpu/carrier.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/kernel_action.h"

static bool is_ignored; /* by us */

static bool is_ours(const struct kernel_action *act)
{
	return act->handler == (void *)carrier_handle;
}

static bool is_handler(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

static void want(const struct kernel_action *found)
{
	struct sigaction act = { .sa_flags = (int)found->flags };

	act.sa_handler = (sighandler_t)found->handler;
	act.sa_restorer = (void (*)(void))found->restorer;
	memcpy(&act.sa_mask, &found->mask, sizeof(found->mask));
	carrier_set_wanted(&act, NULL);
}

/* ---- where ticks go */

static const uint32_t *stacks_seen; /* enum carrier_stacks; NULL: hooks tell */
static int handlers_before;	    /* on alternate stacks, when somebody was to look */

static enum carrier_stacks stacks(void)
{
	return __atomic_load_n(stacks_seen, __ATOMIC_ACQUIRE);
}

static bool goes_to_alternate_stack(int sig)
{
	struct kernel_action act;

	return sig != CARRIER && kernel_action(sig, NULL, &act) == 0 &&
	       act.handler != (void *)SIG_DFL && act.handler != (void *)SIG_IGN &&
	       (act.flags & SA_ONSTACK);
}

static int handlers_on_alternate_stacks(void)
{
	int count = 0;

	for (int sig = 1; sig < _NSIG; sig++)
		count += goes_to_alternate_stack(sig);
	return count;
}

bool carrier_know_no_stacks(const uint32_t *seen)
{
	stacks_seen = seen;
	handlers_before = handlers_on_alternate_stacks();
	return handlers_before != 0;
}

bool carrier_hooks_tell(void)
{
	return !stacks_seen;
}

/*
 * What shares a stack cannot count on it for signals that come at any moment: so its
 * threads have room for them elsewhere.
 */
static unsigned long stack_flag(void)
{
	if (!stacks_seen)
		return SA_ONSTACK;
	if (stacks() != CARRIER_STACKS_OWN && stacks() != CARRIER_STACKS_OF_ONE)
		return 0;
	return handlers_on_alternate_stacks() ? SA_ONSTACK : 0;
}

/* Who had no such stack may have loaded a runtime that needs one: it comes with handlers. */
static bool is_outdated(int handlers)
{
	return stacks() == CARRIER_STACKS_UNSEEN ||
	       (stacks() == CARRIER_STACKS_NONE && handlers > handlers_before);
}

/* NULL, or why no tick may come at all. */
static const char *danger(void)
{
	int handlers = stacks_seen ? handlers_on_alternate_stacks() : 0;

	if (!handlers)
		return NULL;
	if (is_outdated(handlers))
		return "the program has handlers on alternate stacks, and whether threads share "
		       "one was not seen when it was attached to; detach and attach again";
	if (stacks() == CARRIER_STACKS_MIXED)
		return "some threads of the program share an alternate stack and others have "
		       "their own; start it with pprof-inject instead of attaching";
	return NULL;
}

bool carrier_may_reach(int tid)
{
	return !stacks_seen || stacks() != CARRIER_STACKS_OF_ONE || tid == sys_getpid() ||
	       !handlers_on_alternate_stacks();
}

/* ---- */

/*
 * What was there is handed on to before we are there: libc's signal may come at any
 * moment, and whoever sent it waits for its handler.
 *
 * SA_RESTART, as a tick must not interrupt a system call that could go on.  All
 * signals blocked, so that no handler of the program runs (or jumps away) in the
 * middle of a capture.  SA_ONSTACK: a thread that has an alternate stack may have no
 * room elsewhere (alternate_stacks.h).
 */
static bool install(void)
{
	struct kernel_action ours = { .handler = (void *)carrier_handle,
				      .flags = SA_SIGINFO | SA_RESTART | stack_flag() |
					       ARCH_SA_RESTORER,
				      .restorer = (void *)pprofshim_sigreturn,
				      .mask = ALL_SIGNALS };
	struct kernel_action before, found;

	if (kernel_action(CARRIER, NULL, &before) != 0)
		return false;
	if (is_ours(&before) && before.flags == ours.flags)
		return true;
	if (!is_ours(&before))
		want(&before);
	if (kernel_action(CARRIER, &ours, &found) != 0)
		return false;
	if (!is_ours(&found) && found.handler != before.handler)
		want(&found);
	return true;
}

/*
 * The calls of the program that ask the kernel about the signal (by number, since libc
 * refuses) are over when our handler comes, so that none lands on top of it.
 */
int carrier_acquire(const char **why)
{
	*why = danger();
	if (*why)
		return 0;
	if (!carrier_signal()) {
		carrier_believe_in(CARRIER);
		carrier_wait_for_actions();
	}
	if (install())
		return CARRIER;
	carrier_believe_in(0);
	*why = "the kernel refuses a handler for the signal that is to carry ticks";
	return 0;
}

void carrier_keep(void)
{
	struct sigaction wanted = carrier_wanted();

	if (carrier_signal() && UNLIKELY(!is_handler(&wanted)))
		install();
}

/*
 * A signal of libc's must go on reaching libc.  Without its handler the signal is
 * ignored, so that a tick that waits somewhere is dropped.
 */
void carrier_retire(void)
{
	const struct kernel_action ignore = { .handler = (void *)SIG_IGN };
	struct sigaction wanted = carrier_wanted();
	struct kernel_action now;

	if (!carrier_signal() || kernel_action(CARRIER, NULL, &now) != 0 || !is_ours(&now))
		return;
	if (!is_handler(&wanted))
		is_ignored = kernel_action(CARRIER, &ignore, NULL) == 0;
}

/* What waited anywhere was dropped when the signal became one that is ignored. */
void carrier_leave(void)
{
	const struct kernel_action dfl = { .handler = (void *)SIG_DFL };

	if (is_ignored && carrier_wanted().sa_handler == SIG_DFL)
		kernel_action(CARRIER, &dfl, NULL);
	is_ignored = false;
}
