/*
 * The functions that set what a signal does.
 *
 * For the signal that carries our ticks the program gets back what it asked for, and
 * our handler stays (carrier_belief.h).  Handlers on alternate stacks block that
 * signal (action_masks.h).  A child of vfork has actions of its own, and our memory:
 * what it sets is told to the kernel and written down nowhere.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/kernel_action.h"
#include "shim/hooks/signal_syscall.h"
#include "shim/hooks/user_memory.h"
#include "shim/real/real.h"

typedef int (*action_function)(int sig, const struct sigaction *act, struct sigaction *old);

static int set_action(action_function fn, int sig, const struct sigaction *act,
		      struct sigaction *old)
{
	bool is_borrowed = process_is_borrowed();
	struct action_change c;
	int err;

	if (carrier_begin_action(is_borrowed ? 0 : sig)) {
		carrier_set_wanted(act, old);
		return 0;
	}
	action_mask_begin(&c, sig, act);
	err = fn(sig, is_borrowed ? act : c.act, old);
	while (!err && !is_borrowed && action_mask_end(&c))
		fn(sig, c.act, NULL);
	carrier_end_action();
	if (err || !old)
		return err;
	action_mask_hide(&c, old);
	if (old->sa_sigaction == carrier_handle) /* inherited from the parent */
		carrier_set_wanted(NULL, old);
	return 0;
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return set_action(real()->sigaction, sig, act, old);
}

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

EXPORT int __sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return set_action(real()->sigaction, sig, act, old);
}

/* ---- by syscall() */

static void to_libc(struct sigaction *to, const struct kernel_action *from)
{
	*to = (struct sigaction){ .sa_flags = (int)from->flags };
	to->sa_handler = (sighandler_t)from->handler;
	to->sa_restorer = (void (*)(void))from->restorer;
	memcpy(&to->sa_mask, &from->mask, sizeof(from->mask));
}

static void to_kernel(struct kernel_action *to, const struct sigaction *from)
{
	*to = (struct kernel_action){ .handler = (void *)from->sa_handler,
				      .flags = (unsigned)from->sa_flags,
				      .restorer = (void *)from->sa_restorer };
	memcpy(&to->mask, &from->sa_mask, sizeof(to->mask));
}

static int raw_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct kernel_action new, before;
	long err;

	if (act)
		to_kernel(&new, act);
	err = real()->syscall(SYS_rt_sigaction, (long)sig, act ? &new : NULL, old ? &before : NULL,
			      (long)KERNEL_SIGSET_BYTES);
	if (!err && old)
		to_libc(old, &before);
	return (int)err;
}

long signal_syscall_action(long sig, const struct kernel_action *act, struct kernel_action *old,
			   long size)
{
	struct kernel_action now;
	struct sigaction new, before;
	int err;

	if (sandbox_is_noted() || size != KERNEL_SIGSET_BYTES ||
	    (act && !user_copy(&now, act, sizeof(now))) ||
	    (old && real()->syscall(SYS_rt_sigaction, sig, NULL, old, size) != 0))
		return real()->syscall(SYS_rt_sigaction, sig, act, old, size);
	if (act)
		to_libc(&new, &now);
	err = set_action(raw_sigaction, (int)sig, act ? &new : NULL, old ? &before : NULL);
	if (!err && old)
		to_kernel(old, &before);
	return err;
}

/* ---- the older ways to say the same */

typedef sighandler_t (*handler_function)(int sig, sighandler_t handler);

/* SA_RESTART comes from signal() in libc, which blocks the signal in its mask, too. */
static sighandler_t set_wanted_handler(sighandler_t handler, int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags }, old;

	if (flags & SA_RESTART)
		sigaddset(&act.sa_mask, carrier_signal());
	carrier_set_wanted(&act, &old);
	return old.sa_handler;
}

/* `flags` are those that libc would give the action. */
static sighandler_t set_handler(handler_function fn, int sig, sighandler_t handler, int flags)
{
	const struct sigaction act = { .sa_handler = handler };
	bool is_borrowed = process_is_borrowed();
	struct action_change c;
	sighandler_t old;

	if (carrier_begin_action(is_borrowed || handler == SIG_ERR ? 0 : sig))
		return set_wanted_handler(handler, flags);
	action_mask_begin(&c, sig, &act);
	old = fn(sig, handler);
	while (old != SIG_ERR && !is_borrowed && action_mask_end(&c))
		fn(sig, handler);
	carrier_end_action();
	return old;
}

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	return set_handler(real()->signal, sig, handler, SA_RESTART);
}

EXPORT sighandler_t ssignal(int sig, sighandler_t handler)
{
	return set_handler(real()->signal, sig, handler, SA_RESTART);
}

/* The standard dropped it; binaries that use it remain. */
sighandler_t bsd_signal(int sig, sighandler_t handler);

EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return set_handler(real()->bsd_signal, sig, handler, SA_RESTART);
}

#define SYSV_FLAGS ((int)(SA_RESETHAND | SA_NODEFER | SA_INTERRUPT))

EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return set_handler(real()->sysv_signal, sig, handler, SYSV_FLAGS);
}

/* What signal() is in programs that ask for strict ISO C. */
EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return set_handler(real()->sysv_signal, sig, handler, SYSV_FLAGS);
}

/* As libc does it: the action, and then the mask; both by the hooks. */
static sighandler_t set_carrier(int sig, sighandler_t handler)
{
	const struct sigaction act = { .sa_handler = handler };
	bool holds = handler == SIG_HOLD;
	sigset_t set = { 0 }, before;
	struct sigaction old;

	sigaddset(&set, sig);
	sigaction(sig, holds ? NULL : &act, &old);
	sigprocmask(holds ? SIG_BLOCK : SIG_UNBLOCK, &set, &before);
	return sigismember(&before, sig) == 1 ? SIG_HOLD : old.sa_handler;
}

EXPORT sighandler_t sigset(int sig, sighandler_t handler)
{
	if (sig && sig == carrier_signal() && handler != SIG_ERR)
		return set_carrier(sig, handler);
	if (handler == SIG_HOLD)
		return real()->sigset(sig, handler);
	return set_handler(real()->sigset, sig, handler, 0);
}

static sighandler_t ignore(int sig, sighandler_t handler)
{
	(void)handler;
	return real()->sigignore(sig) ? SIG_ERR : SIG_IGN;
}

EXPORT int sigignore(int sig)
{
	return set_handler(ignore, sig, SIG_IGN, 0) == SIG_ERR ? -1 : 0;
}

EXPORT int siginterrupt(int sig, int flag)
{
	struct sigaction act;
	int err;

	if (!carrier_begin_action(process_is_borrowed() ? 0 : sig)) {
		err = real()->siginterrupt(sig, flag);
		carrier_end_action();
		return err;
	}
	carrier_set_wanted(NULL, &act);
	act.sa_flags = flag ? act.sa_flags & ~SA_RESTART : act.sa_flags | SA_RESTART;
	carrier_set_wanted(&act, NULL);
	return 0;
}
