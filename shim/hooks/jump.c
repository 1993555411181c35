/*
 * longjmp and its sisters, for handlers that leave an alternate stack by a jump.
 * libc restores the mask first and the stack after it: a tick that waits would be
 * delivered in between, on an alternate stack that may have no room for it.
 */
#include <setjmp.h>
#include <signal.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/roster.h"
#include "shim/real/real.h"

static bool on_alternate_stack(void)
{
	stack_t now;

	return sys_call3(SYS_sigaltstack, 0, (long)&now, 0) == 0 && now.ss_flags & SS_ONSTACK;
}

static COLD NOINLINE void jump_sampled(const jmp_buf env)
{
	if (env->__mask_was_saved && on_alternate_stack())
		roster_thread_jumps();
}

static inline void prepare(const jmp_buf env)
{
	if (UNLIKELY(roster_may_tick()) && process_is_ours() && !process_is_borrowed())
		jump_sampled(env);
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
