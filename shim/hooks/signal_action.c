/*
 * The functions that set what a signal does.
 *
 * Handlers on alternate stacks block the signal that carries our ticks
 * (action_masks.h).  That signal itself libc refuses to everybody; by syscall() the
 * program gets back what it asked for, and our handler stays (carrier_belief.h).
 * Those of libc's functions that know no alternate stack (signal and its like) need no
 * hook.
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
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/kernel_action.h"
#include "shim/hooks/signal_syscall.h"
#include "shim/hooks/user_memory.h"
#include "shim/real/real.h"

typedef int (*action_function)(int sig, const struct sigaction *act, struct sigaction *old);

/* A child of vfork has actions of its own, and our memory. */
static int set_action(action_function fn, int sig, const struct sigaction *act,
		      struct sigaction *old)
{
	struct action_change c;
	int err;

	if (process_is_borrowed())
		return fn(sig, act, old);
	action_mask_begin(&c, sig, act);
	err = fn(sig, c.act, old);
	if (!err)
		action_mask_end(&c, old);
	return err;
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

/* The carrier: our handler stays. */
static int set_carrier(int sig, const struct sigaction *act, struct sigaction *old)
{
	bool is_borrowed = process_is_borrowed();
	int err;

	if (carrier_begin_action(is_borrowed ? 0 : sig)) {
		carrier_set_wanted(act, old);
		return 0;
	}
	err = raw_sigaction(sig, act, old);
	carrier_end_action();
	if (!err && old && old->sa_sigaction == carrier_handle) /* inherited from the parent */
		carrier_set_wanted(NULL, old);
	return err;
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
	err = sig == CARRIER ? set_carrier(CARRIER, act ? &new : NULL, old ? &before : NULL)
			     : set_action(raw_sigaction, (int)sig, act ? &new : NULL,
					  old ? &before : NULL);
	if (!err && old)
		to_kernel(old, &before);
	return err;
}
