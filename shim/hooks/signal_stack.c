/*
 * sigaltstack: a thread whose alternate stack has no room for a tick gets none
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

static void note_what_is(int tid)
{
	stack_t now;

	if (sys_call3(SYS_sigaltstack, 0, (long)&now, 0) == 0)
		alternate_stack_note(tid, &now);
}

/* `stack` may be what the kernel will refuse: what is true afterwards, the kernel says. */
static int set_stack(stack_function fn, const stack_t *stack, stack_t *old)
{
	bool is_sampled = roster_may_tick() && process_is_ours();
	bool is_small = alternate_stack_is_too_small(stack);
	int tid = sys_gettid(), err;

	if (is_small) {
		alternate_stack_note(tid, stack);
		if (is_sampled)
			roster_thread_blocks();
	}
	err = fn(stack, old);
	if (is_small && is_sampled)
		roster_thread_blocked();
	note_what_is(tid);
	if (alternate_stack_has_room(tid))
		roster_thread_unblocks();
	return err;
}

/* A child of vfork has a stack of its own, and our memory. */
static int change_stack(stack_function fn, const stack_t *stack, stack_t *old)
{
	stack_t copy;

	if (!stack || sandbox_is_noted() || process_is_borrowed() ||
	    !user_copy(&copy, stack, sizeof(copy)))
		return fn(stack, old);
	return set_stack(fn, &copy, old);
}

EXPORT int sigaltstack(const stack_t *stack, stack_t *old)
{
	return change_stack(real()->sigaltstack, stack, old);
}

static int raw_sigaltstack(const stack_t *stack, stack_t *old)
{
	return (int)real()->syscall(SYS_sigaltstack, stack, old);
}

long signal_syscall_stack(const stack_t *stack, stack_t *old)
{
	return change_stack(raw_sigaltstack, stack, old);
}
