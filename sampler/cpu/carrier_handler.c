#include "sampler/cpu/carrier_handler.h"

#include <ucontext.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/kernel_action.h"

static carrier_is_ours is_ours;
static carrier_tick handle_tick;

void carrier_handle_ticks(carrier_is_ours ours, carrier_tick tick)
{
	is_ours = ours;
	handle_tick = tick;
}

static bool default_is_ignore(int sig)
{
	return sig == SIGURG || sig == SIGCHLD || sig == SIGWINCH || sig == SIGCONT;
}

/* False: no handler of the program is to be called. */
static LEFT_WITHOUT_RETURN bool has_handler(const struct sigaction *wanted, int sig)
{
	struct sigaction dfl = *wanted;

	if (wanted->sa_handler == SIG_DFL && !default_is_ignore(sig))
		kernel_die_of(sig); /* as the default of every carrier we choose from is */
	if (wanted->sa_handler == SIG_DFL || wanted->sa_handler == SIG_IGN)
		return false;
	if (wanted->sa_flags & (int)SA_RESETHAND) {
		dfl.sa_handler = SIG_DFL;
		carrier_set_wanted(&dfl, NULL);
	}
	return true;
}

/* Our handler runs with everything blocked; the program's runs with what it asked for. */
static void call_handler(int sig, siginfo_t *info, void *context, const void *action)
{
	const struct sigaction *wanted = action;
	const ucontext_t *uc = context;
	uint64_t mask = uc->uc_sigmask.__val[0] | wanted->sa_mask.__val[0];

	if (!(wanted->sa_flags & SA_NODEFER))
		mask |= SIGNAL_BIT(sig);
	kernel_mask(SIG_SETMASK, mask, NULL);
	if (wanted->sa_flags & SA_SIGINFO)
		wanted->sa_sigaction(sig, info, context);
	else
		wanted->sa_handler(sig);
}

static bool is_on(const stack_t *stack, uint64_t at)
{
	return at - (uint64_t)stack->ss_sp < stack->ss_size;
}

/*
 * The kernel went to the alternate stack for us; the program did not ask for it.  (The
 * flags that it saves do not tell: of a process that never had such a stack, they are 0.)
 */
static bool is_on_wrong_stack(const struct sigaction *wanted, const ucontext_t *uc)
{
	return !(wanted->sa_flags & SA_ONSTACK) && is_on(&uc->uc_stack, (uint64_t)uc) &&
	       !is_on(&uc->uc_stack, arch_interrupted_sp(uc));
}

/* A signal that is no tick: what would have happened without us. */
static NOINLINE LEFT_WITHOUT_RETURN void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction wanted = carrier_wanted();

	if (!has_handler(&wanted, sig))
		return;
	if (is_on_wrong_stack(&wanted, context))
		arch_handle_on_interrupted_stack(sig, info, context, call_handler, &wanted,
						 sizeof(wanted));
	call_handler(sig, info, context, &wanted);
}

/*
 * Where no hook told how large the thread's alternate stack is, it may be just what the
 * kernel's frame takes: then nothing is called.
 */
#define ROOM_BYTES 1024

static bool has_room(const ucontext_t *uc)
{
	uint64_t at = (uint64_t)__builtin_frame_address(0);

	return !is_on(&uc->uc_stack, at) || at - (uint64_t)uc->uc_stack.ss_sp >= ROOM_BYTES;
}

/*
 * The frame stays at the top of an alternate stack until the next one comes.  The kernel sets the
 * word to 0 and never looks at it again: what has another is no frame of the program's
 * (unwind/handler_frame.h).
 */
static void mark_frame(void *context)
{
	((ucontext_t *)context)->uc_link = context;
}

void carrier_handle(int sig, siginfo_t *info, void *context)
{
	if (LIKELY(info->si_code == SI_TIMER && is_ours(info))) {
		mark_frame(context);
		if (LIKELY(has_room(context)))
			handle_tick(info, context);
		else
			counter_add(COUNTER_CPU_TICKS_WITHOUT_ROOM, 1);
	} else {
		pass_on(sig, info, context);
	}
}
