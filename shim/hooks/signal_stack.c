/*
 * sigaltstack, and sigstack: a thread whose alternate stack has no room for a tick gets none
 * (alternate_stacks.h).  Its timer is stopped before it has that stack, as it is
 * before a thread blocks the signal.
 */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/cpu/alternate_stacks.h"
#include "sampler/cpu/roster.h"
#include "shim/hooks/signal_syscall.h"
#include "shim/hooks/user_memory.h"
#include "shim/real/real.h"

typedef int (*stack_function)(const stack_t *stack, stack_t *old);

/* A stack whose size nobody knows: no tick may come there. */
static const stack_t unknown = { 0 };

static void note_what_is(int tid, const stack_t *set, bool is_known)
{
	stack_t now;

	if (sys_call3(SYS_sigaltstack, 0, (long)&now, 0) == 0)
		alternate_stack_settle(tid, &now, set);
	if (!is_known)
		alternate_stack_note(tid, &unknown);
}

/* `stack` may be what the kernel will refuse: what is true afterwards, the kernel says. */
static long set_stack(stack_function fn, const stack_t *stack, stack_t *old, bool is_known)
{
	bool is_sampled = roster_may_tick() && roster_is_here(), is_small;
	int tid = sys_gettid(), err;
	const stack_t *set = stack;
	stack_t ours;

	if (is_known && alternate_stack_is_shared(tid, set, &ours)) {
		is_known = !(ours.ss_flags & SS_DISABLE);
		stack = is_known ? &ours : set;
	}
	is_small = !is_known || alternate_stack_is_too_small(stack);
	if (is_small) {
		alternate_stack_note(tid, is_known ? stack : &unknown);
		if (is_sampled)
			roster_thread_blocks();
	}
	err = fn(stack, old);
	if (is_small && is_sampled)
		roster_thread_blocked();
	if (!err && old)
		alternate_stack_show(tid, old);
	note_what_is(tid, err ? NULL : set, is_known || err);
	if (alternate_stack_has_room(tid))
		roster_thread_unblocks();
	return err;
}

/* A child of vfork has a stack of its own, and our memory. */
static long change_stack(stack_function fn, const stack_t *stack, stack_t *old, bool is_known)
{
	stack_t copy;
	int err;

	if (sandbox_is_noted() || process_is_borrowed() ||
	    (stack && !user_copy(&copy, stack, sizeof(copy))))
		return fn(stack, old);
	if (stack)
		return set_stack(fn, &copy, old, is_known);
	err = fn(NULL, old);
	if (!err && old)
		alternate_stack_show(sys_gettid(), old);
	return err;
}

EXPORT int sigaltstack(const stack_t *stack, stack_t *old)
{
	return (int)change_stack(real()->sigaltstack, stack, old, true);
}

/*
 * The way of 4.2BSD, which has no size.  As libc does it: all of the address is one, as if
 * the stack grew up, so frames would go down from twice the address.
 */
EXPORT int sigstack(struct sigstack *stack, struct sigstack *old)
{
	stack_t s; /* the new one, then the old one */

	if (stack)
		s = (stack_t){ .ss_sp = stack->ss_sp,
			       .ss_flags = stack->ss_onstack ? SS_ONSTACK : 0,
			       .ss_size = (size_t)stack->ss_sp };
	if (change_stack(real()->sigaltstack, stack ? &s : NULL, old ? &s : NULL, false) != 0)
		return -1;
	if (old)
		*old = (struct sigstack){ s.ss_sp, (s.ss_flags & SS_ONSTACK) != 0 };
	return 0;
}

static int raw_sigaltstack(const stack_t *stack, stack_t *old)
{
	return (int)real()->syscall(SYS_sigaltstack, stack, old);
}

long signal_syscall_stack(const stack_t *stack, stack_t *old)
{
	return change_stack(raw_sigaltstack, stack, old, true);
}
