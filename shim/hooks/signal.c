/*
 * The functions that set what a signal does, and the thread's signal mask.
 *
 * For the signal that carries our ticks the target gets back what it asked for
 * and our handler stays.  Handlers that run on an alternate stack get that
 * signal added to their mask, because a tick on top of one could overflow it;
 * reading back hides the addition.  While a profile runs, a thread that blocks
 * the signal has its timer stopped first, so that no tick of ours is ever
 * pending where sigwait or a signalfd of the target could meet it.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/roster.h"
#include "shim/real/real.h"

/*
 * True: the signal carries our ticks, and what the target wants is kept beside it.
 * False: the real function is to be called, and then carrier_leave().  A child of
 * vfork has actions of its own behind our memory: the kernel's.
 */
static bool visit(int sig)
{
	return carrier_visit(process_is_borrowed() ? 0 : sig);
}

/* ---- handlers on alternate stacks */

static atomic_uint_fast64_t added; /* bit of each signal to whose mask we added the carrier */

static bool was_added(int sig)
{
	return atomic_load_explicit(&added, memory_order_relaxed) >> (sig - 1) & 1;
}

static void set_added(int sig, bool on)
{
	if (on)
		atomic_fetch_or_explicit(&added, 1ULL << (sig - 1), memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&added, ~(1ULL << (sig - 1)), memory_order_relaxed);
}

static bool needs_addition(const struct sigaction *act)
{
	return act->sa_flags & SA_ONSTACK && act->sa_handler != SIG_DFL &&
	       act->sa_handler != SIG_IGN && carrier_likely() &&
	       !sigismember(&act->sa_mask, carrier_likely());
}

static int set_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	bool hide = sig > 0 && sig <= 64 && was_added(sig), add = act && needs_addition(act);
	struct sigaction changed;
	int err;

	if (add) {
		changed = *act;
		sigaddset(&changed.sa_mask, carrier_likely());
	}
	err = real()->sigaction(sig, add ? &changed : act, old);
	if (err == 0 && old && hide)
		sigdelset(&old->sa_mask, carrier_likely());
	if (err == 0 && act)
		set_added(sig, add);
	return err;
}

/*
 * What a Go runtime does before its first goroutine: SIGURG is how it preempts.
 * From then on there are stacks without room for our handler.
 */
static bool is_go_runtime(int sig, const struct sigaction *act)
{
	return UNLIKELY(sig == SIGURG) && act && act->sa_flags & SA_ONSTACK &&
	       act->sa_flags & SA_SIGINFO && sigismember(&act->sa_mask, SIGPROF) == 1;
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	int err;

	if (visit(sig)) {
		carrier_set_action(act, old);
		return 0;
	}
	err = set_action(sig, act, old);
	if (err == 0 && is_go_runtime(sig, act) && !process_is_borrowed())
		carrier_use_alternate_stacks();
	carrier_leave();
	return err;
}

/* ---- the older ways to say the same */

/* SA_RESTART comes from signal() in libc, which blocks the signal in its mask, too. */
static sighandler_t set_carrier_handler(sighandler_t handler, int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags }, old;

	if (flags & SA_RESTART)
		sigaddset(&act.sa_mask, carrier_signal());
	carrier_set_action(&act, &old);
	return old.sa_handler;
}

/* One of libc's, when the signal is not the carrier. */
static sighandler_t set_real(sighandler_t (*fn)(int, sighandler_t), int sig, sighandler_t handler)
{
	sighandler_t old = fn(sig, handler);

	carrier_leave();
	return old;
}

static bool visit_to_set(int sig, sighandler_t handler)
{
	return visit(handler == SIG_ERR ? 0 : sig);
}

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	if (visit_to_set(sig, handler))
		return set_carrier_handler(handler, SA_RESTART);
	return set_real(real()->signal, sig, handler);
}

/* The standard dropped it; binaries that use it remain. */
sighandler_t bsd_signal(int sig, sighandler_t handler);

EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	if (visit_to_set(sig, handler))
		return set_carrier_handler(handler, SA_RESTART);
	return set_real(real()->bsd_signal, sig, handler);
}

EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	if (visit_to_set(sig, handler))
		return set_carrier_handler(handler,
					   (int)(SA_RESETHAND | SA_NODEFER | SA_INTERRUPT));
	return set_real(real()->sysv_signal, sig, handler);
}

/* SIG_HOLD and the mask are left to libc; only the disposition is ours to keep. */
EXPORT sighandler_t sigset(int sig, sighandler_t handler)
{
	if (visit_to_set(handler == SIG_HOLD ? 0 : sig, handler))
		return set_carrier_handler(handler, 0);
	return set_real(real()->sigset, sig, handler);
}

EXPORT int sigignore(int sig)
{
	int err;

	if (visit(sig)) {
		set_carrier_handler(SIG_IGN, 0);
		return 0;
	}
	err = real()->sigignore(sig);
	carrier_leave();
	return err;
}

static void interrupt_carrier(int flag)
{
	struct sigaction act;

	carrier_set_action(NULL, &act);
	act.sa_flags = flag ? act.sa_flags & ~SA_RESTART : act.sa_flags | SA_RESTART;
	carrier_set_action(&act, NULL);
}

EXPORT int siginterrupt(int sig, int flag)
{
	int err;

	if (visit(sig)) {
		interrupt_carrier(flag);
		return 0;
	}
	err = real()->siginterrupt(sig, flag);
	carrier_leave();
	return err;
}

/* ---- the mask */

static bool holds_carrier(const sigset_t *set)
{
	return set && sigismember(set, carrier_signal()) == 1;
}

static bool blocks(int how, const sigset_t *set)
{
	return (how == SIG_BLOCK || how == SIG_SETMASK) && holds_carrier(set);
}

static bool unblocks(int how, const sigset_t *set)
{
	if (!set)
		return false;
	return how == SIG_UNBLOCK ? holds_carrier(set) : how == SIG_SETMASK && !holds_carrier(set);
}

typedef int (*mask_function)(int how, const sigset_t *set, sigset_t *old);

static bool is_sampled(void)
{
	return UNLIKELY(roster_may_tick()) && process_is_ours() && !process_is_borrowed();
}

static COLD NOINLINE int set_mask_sampled(mask_function fn, int how, const sigset_t *set,
					  sigset_t *old)
{
	bool parked = blocks(how, set), frees = unblocks(how, set);
	int err;

	if (parked)
		roster_thread_blocks();
	err = fn(how, set, old);
	if (parked && !err)
		roster_thread_blocked();
	if (err ? parked : frees)
		roster_thread_unblocks();
	return err;
}

/* Sampling may have begun while libc was changing the mask. */
static COLD NOINLINE void settle_mask(int how, const sigset_t *set)
{
	if (blocks(how, set))
		roster_thread_blocked();
}

static inline int set_mask(mask_function fn, int how, const sigset_t *set, sigset_t *old)
{
	int err;

	if (is_sampled())
		return set_mask_sampled(fn, how, set, old);
	err = fn(how, set, old);
	if (!err && is_sampled())
		settle_mask(how, set);
	return err;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return set_mask(real()->pthread_sigmask, how, set, old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return set_mask(real()->sigprocmask, how, set, old);
}
