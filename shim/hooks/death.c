#include "shim/hooks/death.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/kernel_action.h"
#include "shim/life/after_fork.h"
#include "shim/life/ending.h"
#include "shim/life/recording.h"
#include "shim/real/real.h"

#define SIGNALS 65 /* those below */

bool death_is_on;

/* The calling process is the first of its namespace. */
static bool is_first;

/* What the program said itself of a signal that has its default: flags and mask. */
static struct sigaction wanted[SIGNALS];

static int toggle; /* the signal that begins and ends a profile, 0: none */
static const char *toggle_lost;

static bool ends_by_default(int sig)
{
	static const uint64_t others =
		SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGCHLD) |
		SIGNAL_BIT(SIGCONT) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) |
		SIGNAL_BIT(SIGTTOU) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH) | /* and libc's: */
		SIGNAL_BIT(__SIGRTMIN) | SIGNAL_BIT(__SIGRTMIN + 1);

	return sig > 0 && sig < SIGNALS && !(others & SIGNAL_BIT(sig));
}

static bool is_of_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL;
}

/*
 * The first process of a namespace is sent nothing from inside that is at its default, so
 * with a handler it would get what it never gets.  Its own faults end it; and the signal of
 * a toggle is sent by a user who wants it there.
 */
static bool ends_this_process(int sig)
{
	return ends_by_default(sig) && (!is_first || is_of_fault(sig) || sig == toggle);
}

/* An instruction that failed is there again when the handler returns. */
static bool fails_again(int sig, const siginfo_t *info)
{
	return info->si_code > 0 && is_of_fault(sig);
}

/* A forked child is asked before it has decided. */
static bool is_first_now(void)
{
	return sandbox_is_noted() ? is_first : sys_getpid() == 1;
}

/* Signals are blocked here: it comes when the handler returns, to where it came first. */
static void send_again(int sig, siginfo_t *info)
{
	int tid = sys_gettid(), pid = sys_getpid();

	if (sys_call4(SYS_rt_tgsigqueueinfo, pid, tid, sig, (long)info) != 0)
		sys_call3(SYS_tgkill, pid, tid, sig);
}

/* A filtered thread may make no call but this one, by which it ends as it was to. */
static void handle(int sig, siginfo_t *info, void *unused)
{
	const struct kernel_action dfl = { .handler = SIG_DFL };

	(void)unused;
	if (sig == toggle) {
		if (!process_is_borrowed())
			recording_toggle();
		return;
	}
	if (is_first_now() && !fails_again(sig, info)) {
		if (!is_of_fault(sig))
			kernel_action(sig, &dfl, NULL);
		return;
	}
	ending_now();
	kernel_action(sig, &dfl, NULL);
	if (!fails_again(sig, info))
		send_again(sig, info);
}

/* SA_ONSTACK: a stack that has overflowed has no room, and without another the kernel ends it. */
static void take(int sig)
{
	const struct kernel_action ours = { .handler = (void *)handle,
					    .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK |
						     ARCH_SA_RESTORER,
					    .restorer = (void *)pprofshim_sigreturn,
					    .mask = ALL_SIGNALS };
	struct kernel_action now;

	if (kernel_action(sig, NULL, &now) == 0 && now.handler == (void *)SIG_DFL)
		kernel_action(sig, &ours, NULL);
}

/* The default as the program set it. */
static void give_back(int sig)
{
	struct kernel_action dfl = { .handler = (void *)SIG_DFL,
				     .flags = (unsigned)wanted[sig].sa_flags };
	struct kernel_action now;

	memcpy(&dfl.mask, &wanted[sig].sa_mask, sizeof(dfl.mask));
	if (kernel_action(sig, NULL, &now) == 0 && now.handler == (void *)handle)
		kernel_action(sig, &dfl, NULL);
}

static void take_or_give_back_all(void)
{
	for (int sig = 1; sig < SIGNALS; sig++) {
		if (ends_this_process(sig))
			take(sig);
		else if (ends_by_default(sig))
			give_back(sig);
	}
}

/* It may be the first of a new namespace, or its parent was of an old one. */
static void decide_in_child(void)
{
	bool was = is_first;

	is_first = sys_getpid() == 1;
	if (is_first != was)
		take_or_give_back_all();
}

void death_toggle(int sig)
{
	struct kernel_action now;

	if (kernel_action(sig, NULL, &now) == 0 && now.handler == (void *)SIG_DFL)
		toggle = sig;
	else
		toggle_lost = "it was ignored or handled when the program started";
}

const char *death_toggle_lost(void)
{
	return toggle_lost;
}

/* The program has a use for that signal, now and from now on. */
static void give_toggle_up(void)
{
	toggle = 0;
	toggle_lost = "the program has a handler of its own for it, or ignores it";
}

void death_init(void)
{
	is_first = sys_getpid() == 1;
	take_or_give_back_all();
	after_fork_call(decide_in_child);
	death_is_on = true;
}

static bool is_ours(const struct sigaction *act)
{
	return act->sa_flags & SA_SIGINFO && act->sa_sigaction == handle;
}

void death_settle_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	int saved = errno;

	if (!ends_by_default(sig))
		return;
	if (old && is_ours(old))
		*old = wanted[sig];
	if (act && act->sa_handler != SIG_DFL && sig == toggle)
		give_toggle_up();
	if (act && act->sa_handler == SIG_DFL && !sandbox_is_noted()) {
		wanted[sig] = *act;
		if (ends_this_process(sig))
			take(sig);
	}
	errno = saved;
}

/* ---- the older functions, which know handlers only */

static COLD NOINLINE sighandler_t settle(int sig, sighandler_t new, sighandler_t old)
{
	const struct sigaction act = { .sa_handler = new };

	if (old == SIG_ERR || process_is_borrowed())
		return old;
	death_settle_action(sig, &act, NULL);
	return old == (sighandler_t)(uintptr_t)handle ? SIG_DFL : old;
}

sighandler_t bsd_signal(int sig, sighandler_t handler);

/* X(name, its definition in libc, where others are the same) */
#define SETTERS(X)                                                                                 \
	X(signal, signal)                                                                          \
	X(bsd_signal, signal)                                                                      \
	X(ssignal, signal)                                                                         \
	X(sysv_signal, __sysv_signal)                                                              \
	X(__sysv_signal, __sysv_signal)                                                            \
	X(sigset, sigset)

#define X(name, definition)                                                                        \
	EXPORT sighandler_t name(int sig, sighandler_t handler)                                    \
	{                                                                                          \
		sighandler_t old = real()->definition(sig, handler);                               \
                                                                                                   \
		return UNLIKELY(death_is_on) ? settle(sig, handler, old) : old;                    \
	}
SETTERS(X)
#undef X
