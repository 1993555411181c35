/*
 * The functions that set what a signal does.
 *
 * Handlers on alternate stacks block the signal that carries our ticks
 * (action_masks.h).  That signal itself libc refuses to everybody; by syscall() the
 * program gets back what it asked for, and our handler stays (carrier_belief.h).
 * Those of libc's functions that know no alternate stack (signal and its like) have hooks
 * for what death.h hides, and for nothing else.
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
#include "shim/hooks/death.h"
#include "shim/hooks/signal_syscall.h"
#include "shim/hooks/user_memory.h"
#include "shim/real/real.h"

/* A copy, only where something is changed: it takes much of a small stack. */
static NOINLINE int add_carrier(const struct real *next, int sig, const struct sigaction *act,
				struct sigaction *old)
{
	struct sigaction changed = *act;

	changed.sa_mask.__val[0] |= SIGNAL_BIT(CARRIER);
	return next->sigaction(sig, &changed, old);
}

static void begin(struct action_change *c, const struct sigaction *act)
{
	struct action_asked asked;

	if (act)
		asked = (struct action_asked){ (const void *)act->sa_handler,
					       (unsigned)act->sa_flags, act->sa_mask.__val[0] };
	action_mask_begin(c, act ? &asked : NULL);
}

static uint64_t *mask_of(struct sigaction *read)
{
	return read ? (uint64_t *)&read->sa_mask.__val[0] : NULL;
}

/* What it reads was its parent's. */
static NOINLINE int borrow_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	int err = real()->sigaction(sig, act, old);

	if (!err && old)
		action_mask_show(mask_of(old));
	return err;
}

/* A child of vfork has actions of its own, and our memory. */
static int set_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	const struct real *next = real();
	struct action_change c;
	int err;

	if (process_is_borrowed())
		return borrow_action(sig, act, old);
	begin(&c, act);
	err = c.adds ? add_carrier(next, sig, act, old) : next->sigaction(sig, act, old);
	action_mask_end(err ? NULL : mask_of(old));
	if (!err)
		death_settle(sig, act, old);
	return err;
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return set_action(sig, act, old);
}

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

EXPORT int __sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return set_action(sig, act, old);
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

static long raw_action(int sig, const struct kernel_action *act, struct kernel_action *old)
{
	return real()->syscall(SYS_rt_sigaction, (long)sig, act, old, (long)KERNEL_SIGSET_BYTES);
}

/* One after the other: the stack may be small. */
static COLD NOINLINE void settle_by_number(int sig, const struct kernel_action *act,
					   struct kernel_action *old)
{
	struct sigaction a;

	if (old) {
		to_libc(&a, old);
		death_settle(sig, NULL, &a);
		to_kernel(old, &a);
	}
	if (act) {
		to_libc(&a, act);
		death_settle(sig, &a, NULL);
	}
}

/* `act` is a copy of ours, and `old` was found to be writable. */
static NOINLINE long set_by_number(int sig, struct kernel_action *act, struct kernel_action *old)
{
	struct action_change c;
	struct action_asked asked;
	long err;

	if (process_is_borrowed())
		return raw_action(sig, act, old);
	if (act)
		asked = (struct action_asked){ act->handler, act->flags, act->mask };
	action_mask_begin(&c, act ? &asked : NULL);
	if (act && c.adds)
		act->mask |= SIGNAL_BIT(CARRIER);
	err = raw_action(sig, act, old);
	action_mask_end(!err && old ? &old->mask : NULL);
	return err;
}

static NOINLINE void want(const struct kernel_action *act)
{
	struct sigaction new;

	to_libc(&new, act);
	carrier_set_wanted(&new, NULL);
}

static NOINLINE void tell_wanted(struct kernel_action *old)
{
	struct sigaction wanted = carrier_wanted();

	to_kernel(old, &wanted);
}

/* The carrier: our handler stays. */
static NOINLINE long set_carrier(const struct kernel_action *act, struct kernel_action *old)
{
	bool is_borrowed = process_is_borrowed();
	long err;

	if (carrier_begin_action(is_borrowed ? 0 : CARRIER)) {
		if (old)
			tell_wanted(old);
		if (act)
			want(act);
		return 0;
	}
	err = raw_action(CARRIER, act, old);
	carrier_end_action();
	if (!err && old && old->handler == (void *)carrier_handle) /* inherited from the parent */
		tell_wanted(old);
	return err;
}

long signal_syscall_action(long sig, const struct kernel_action *act, struct kernel_action *old,
			   long size)
{
	struct kernel_action now, *new = act ? &now : NULL;
	long err;

	if (sandbox_is_noted() || size != KERNEL_SIGSET_BYTES ||
	    (act && !user_copy(&now, act, sizeof(now))) ||
	    (old && real()->syscall(SYS_rt_sigaction, sig, NULL, old, size) != 0))
		return real()->syscall(SYS_rt_sigaction, sig, act, old, size);
	if (sig == CARRIER)
		return set_carrier(new, old);
	err = set_by_number((int)sig, new, old);
	if (!err && UNLIKELY(death_is_on) && !process_is_borrowed())
		settle_by_number((int)sig, new, old);
	return err;
}
