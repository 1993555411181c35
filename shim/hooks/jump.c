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
 *
 * Handlers on alternate stacks have the signal in their masks from us.  A jump out of one that
 * brings no mask, or a context with what was the mask in one, would leave it blocked for good: no
 * tick would come any more, and libc, whose signal it is, would wait for the thread for ever
 * (setuid).  So it is open where such a jump leads, unless that is the alternate stack.
 */
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/alternate_stacks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"
#include "sampler/cpu/roster.h"
#include "shim/real/real.h"

static bool on_alternate_stack(void)
{
	stack_t now;

	return sys_call3(SYS_sigaltstack, 0, (long)&now, 0) == 0 && now.ss_flags & SS_ONSTACK;
}

static uint64_t mask_now(void)
{
	uint64_t now = 0;

	kernel_mask(SIG_BLOCK, 0, &now);
	return now;
}

static bool is_blocked_now(void)
{
	return mask_now() & SIGNAL_BIT(CARRIER);
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

/* Whoever has it blocked of their own accord has the other one that libc keeps, too. */
static bool is_blocked_by_us(uint64_t mask)
{
	return mask & SIGNAL_BIT(CARRIER) && !(mask & SIGNAL_BIT(CARRIER - 1));
}

static bool is_on_alternate_stack(uint64_t sp)
{
	stack_t now;

	return alternate_stack_holds(sys_gettid(), sp) ||
	       (sys_call3(SYS_sigaltstack, 0, (long)&now, 0) == 0 && !(now.ss_flags & SS_DISABLE) &&
		sp - (uint64_t)now.ss_sp < now.ss_size);
}

static bool is_left_blocked(uint64_t mask, uint64_t sp)
{
	return !sandbox_is_noted() && !process_is_borrowed() && is_blocked_by_us(mask) &&
	       !is_on_alternate_stack(sp);
}

/* A jump that brings a mask along opens it: libc leaves it out of every mask. */
static COLD NOINLINE void leave_handler(const jmp_buf env)
{
	if (sandbox_is_noted() || !is_left_blocked(mask_now(), arch_jump_sp(env)))
		return;
	roster_thread_jumps();
	kernel_mask(SIG_UNBLOCK, SIGNAL_BIT(CARRIER), NULL);
}

static inline void prepare(const jmp_buf env)
{
	if (UNLIKELY(roster_may_tick()) && env->__mask_was_saved)
		before_mask((const sigset_t *)&env->__saved_mask);
	else if (UNLIKELY(action_masks_have_carrier()) && !env->__mask_was_saved)
		leave_handler(env);
}

/* The bit that is taken out of it is ours. */
static COLD NOINLINE void open_in(const ucontext_t *to)
{
	uint64_t *mask = (uint64_t *)(uintptr_t)&to->uc_sigmask.__val[0];

	if (is_left_blocked(*mask, arch_interrupted_sp(to)))
		*mask &= ~SIGNAL_BIT(CARRIER);
}

static inline void prepare_context(const ucontext_t *to)
{
	if (UNLIKELY(action_masks_have_carrier()))
		open_in(to);
	if (UNLIKELY(roster_may_tick()))
		before_mask(&to->uc_sigmask);
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
	prepare_context(to);
	return real()->swapcontext(from, to);
}

EXPORT int setcontext(const ucontext_t *to)
{
	prepare_context(to);
	return real()->setcontext(to);
}
