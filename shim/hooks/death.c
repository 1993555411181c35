#include "shim/hooks/death.h"

#include <errno.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/kernel_action.h"
#include "shim/life/ending.h"
#include "shim/real/real.h"

#define SIGNALS 32 /* those below; the others are libc's and of real time */

bool death_is_on;

/* What the program said itself of a signal that has its default: flags and mask. */
static struct sigaction wanted[SIGNALS];

static bool ends_by_default(int sig)
{
	static const uint64_t others = SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP) |
				       SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGCONT) |
				       SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) |
				       SIGNAL_BIT(SIGTTOU) | SIGNAL_BIT(SIGURG) |
				       SIGNAL_BIT(SIGWINCH);

	return sig > 0 && sig < SIGNALS && !(others & SIGNAL_BIT(sig));
}

/* An instruction that failed is there again when the handler returns. */
static bool fails_again(int sig, const siginfo_t *info)
{
	return info->si_code > 0 &&
	       (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL);
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

void death_init(void)
{
	for (int sig = 1; sig < SIGNALS; sig++)
		if (ends_by_default(sig))
			take(sig);
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
	if (act && act->sa_handler == SIG_DFL && !sandbox_is_noted()) {
		wanted[sig] = *act;
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
sighandler_t __sysv_signal(int sig, sighandler_t handler);

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
