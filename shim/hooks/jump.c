/*
 * Jumps that bring a signal mask along: longjmp and its sisters, and the contexts of
 * coroutines.
 *
 * Off an alternate stack: libc restores the mask first and the stack after it, so a tick
 * that waits would be delivered in between, on a stack that may have no room for it.  Where
 * the kernel says that there is none (SS_AUTODISARM, within a handler), it shows by the
 * signal's being blocked, as it is in such handlers (action_masks.h).
 * To where the signal of the ticks is blocked (signal_mask.c tells by whom): the timer is
 * stopped first.  (To where it is not, the listener starts it again.)
 */
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"
#include "sampler/cpu/roster.h"
#include "shim/real/real.h"

static bool on_alternate_stack(void)
{
	stack_t now;

	return sys_call3(SYS_sigaltstack, 0, (long)&now, 0) == 0 && now.ss_flags & SS_ONSTACK;
}

static bool is_blocked_now(void)
{
	uint64_t now = 0;

	kernel_mask(SIG_BLOCK, 0, &now);
	return now & SIGNAL_BIT(CARRIER);
}

static COLD NOINLINE void before_mask(const sigset_t *mask)
{
	if (!roster_is_here() || process_is_borrowed())
		return;
	if (on_alternate_stack() || is_blocked_now())
		roster_thread_jumps();
	if (mask->__val[0] & SIGNAL_BIT(CARRIER))
		roster_thread_blocks();
}

static inline void prepare(const jmp_buf env)
{
	if (UNLIKELY(roster_may_tick()) && env->__mask_was_saved)
		before_mask((const sigset_t *)&env->__saved_mask);
}

EXPORT void siglongjmp(sigjmp_buf env, int value)
{
	prepare(env);
	real()->siglongjmp(env, value);
	__builtin_unreachable();
}

EXPORT void longjmp(jmp_buf env, int value)
{
	prepare(env);
	real()->longjmp(env, value);
	__builtin_unreachable();
}

EXPORT void _longjmp(jmp_buf env, int value)
{
	prepare(env);
	real()->_longjmp(env, value);
	__builtin_unreachable();
}

/* What they are in programs compiled with _FORTIFY_SOURCE; in no header. */
__attribute__((noreturn)) void __longjmp_chk(jmp_buf env, int value);

EXPORT void __longjmp_chk(jmp_buf env, int value)
{
	prepare(env);
	real()->__longjmp_chk(env, value);
	__builtin_unreachable();
}

/* Our frame stays on the stack that is left, and the context comes back to it. */
EXPORT int swapcontext(ucontext_t *from, const ucontext_t *to)
{
	if (UNLIKELY(roster_may_tick()))
		before_mask(&to->uc_sigmask);
	return real()->swapcontext(from, to);
}

EXPORT int setcontext(const ucontext_t *to)
{
	if (UNLIKELY(roster_may_tick()))
		before_mask(&to->uc_sigmask);
	return real()->setcontext(to);
}
