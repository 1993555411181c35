#include "sampler/cpu/carrier.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"

/* The kernel's struct sigaction; libc's differs. */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

#define KERNEL_SIGSET_BYTES 8
#define ALL_SIGNALS	    (~0ULL)

/*
 * The target's wish lives in one of these slots; the handler may be reading one
 * while another thread writes the next, so a slot is reused only 64 wishes later.
 */
#define WISHES 64

static struct {
	int preferred;
	carrier_is_ours is_ours;
	carrier_tick tick;
	atomic_int chosen;   /* 0, or the signal whose wishes are kept here */
	atomic_int visitors; /* threads that are asking the kernel about a signal's action */
	struct sigaction wish[WISHES];
	atomic_uint current; /* index of the wish in force, counts on for ever */
	atomic_uint next;
} carrier;

void carrier_init(int preferred, carrier_is_ours is_ours, carrier_tick tick)
{
	carrier.preferred = preferred;
	carrier.is_ours = is_ours;
	carrier.tick = tick;
}

int carrier_signal(void)
{
	return atomic_load_explicit(&carrier.chosen, memory_order_acquire);
}

int carrier_likely(void)
{
	int sig = carrier_signal();

	return sig ? sig : carrier.preferred;
}

static long kernel_action(int sig, const struct kernel_action *act, struct kernel_action *old)
{
	return sys_call4(SYS_rt_sigaction, sig, (long)act, (long)old, KERNEL_SIGSET_BYTES);
}

/* seq_cst: either the visitor sees the choice, or wait_for_visitors() sees the visitor. */
bool carrier_visit(int sig)
{
	atomic_fetch_add(&carrier.visitors, 1);
	if (LIKELY(!sig || sig != atomic_load(&carrier.chosen)))
		return false;
	carrier_leave();
	return true;
}

void carrier_leave(void)
{
	atomic_fetch_sub(&carrier.visitors, 1);
}

static unsigned current_wish(void)
{
	return atomic_load_explicit(&carrier.current, memory_order_acquire);
}

static struct sigaction wish_in_force(void)
{
	return carrier.wish[current_wish() % WISHES];
}

/* What libc and the kernel make of it: read back, it has a restorer and never blocks these two. */
static struct sigaction as_read_back(struct sigaction act)
{
	act.sa_flags |= (int)ARCH_SA_RESTORER;
	act.sa_mask.__val[0] &= ~(1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1));
	return act;
}

void carrier_set_action(const struct sigaction *act, struct sigaction *old)
{
	struct sigaction before = wish_in_force();

	if (act) {
		unsigned i = atomic_fetch_add_explicit(&carrier.next, 1, memory_order_relaxed) + 1;

		carrier.wish[i % WISHES] = as_read_back(*act);
		/* release: pairs with the acquire in wish_in_force() */
		atomic_store_explicit(&carrier.current, i, memory_order_release);
	}
	if (old)
		*old = before;
}

/* As the kernel would: the default of every carrier we choose from is to end the process. */
static void die_of(int sig)
{
	struct kernel_action dfl = { .handler = SIG_DFL };
	uint64_t mask = 1ULL << (sig - 1);

	kernel_action(sig, &dfl, NULL);
	sys_call3(SYS_tgkill, sys_getpid(), sys_gettid(), sig);
	sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&mask, 0, KERNEL_SIGSET_BYTES);
}

static bool default_is_ignore(int sig)
{
	return sig == SIGURG || sig == SIGCHLD || sig == SIGWINCH || sig == SIGCONT;
}

/* Our handler runs with everything blocked; the target's runs with what it asked for. */
static void call_with_mask(const struct sigaction *wish, int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	uint64_t mask, interrupted, wished;

	memcpy(&interrupted, &uc->uc_sigmask, sizeof(interrupted));
	memcpy(&wished, &wish->sa_mask, sizeof(wished));
	mask = interrupted | wished;
	if (!(wish->sa_flags & SA_NODEFER))
		mask |= 1ULL << (sig - 1);
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, KERNEL_SIGSET_BYTES);
	if (wish->sa_flags & SA_SIGINFO)
		wish->sa_sigaction(sig, info, context);
	else
		wish->sa_handler(sig);
}

/* A signal that is no tick: what would have happened without us. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction wish = wish_in_force();

	if (wish.sa_handler == SIG_IGN)
		return;
	if (wish.sa_handler == SIG_DFL) {
		if (!default_is_ignore(sig))
			die_of(sig);
		return;
	}
	if (wish.sa_flags & (int)SA_RESETHAND) {
		struct sigaction dfl = wish;

		dfl.sa_handler = SIG_DFL;
		carrier_set_action(&dfl, NULL);
	}
	call_with_mask(&wish, sig, info, context);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	if (LIKELY(info->si_code == SI_TIMER && carrier.is_ours(info)))
		carrier.tick(info, context);
	else
		pass_on(sig, info, context);
}

static bool is_default(int sig)
{
	struct kernel_action now;

	return kernel_action(sig, NULL, &now) == 0 && now.handler == SIG_DFL;
}

static bool is_ours_now(int sig)
{
	struct kernel_action now;

	return kernel_action(sig, NULL, &now) == 0 && now.handler == (void *)on_signal;
}

/* A visitor whose signal handler jumped away never leaves. */
#define VISITORS_WAIT_NS (100 * NS_PER_MS)

static void wait_for_visitors(void)
{
	const struct timespec moment = { 0, 20000 };
	int64_t until = sys_now_ns() + VISITORS_WAIT_NS;

	while (atomic_load(&carrier.visitors) && sys_now_ns() < until)
		sys_call4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&moment, 0);
	if (atomic_load(&carrier.visitors))
		counter_add(COUNTER_SIGACTION_WAITS_TIMED_OUT, 1);
}

/*
 * What the target set between our look and our choice becomes its wish, unless
 * it has said something since.
 */
static void adopt(const struct kernel_action *found, unsigned wish_before)
{
	struct sigaction act = { .sa_flags = (int)found->flags };

	if (found->handler == SIG_DFL || found->handler == (void *)on_signal ||
	    current_wish() != wish_before)
		return;
	act.sa_handler = (sighandler_t)found->handler;
	memcpy(&act.sa_mask, &found->mask, sizeof(found->mask));
	carrier_set_action(&act, NULL);
}

/* The wishes that are kept are from now on about `sig`. */
static void choose(int sig)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };

	if (carrier_signal() && carrier_signal() != sig)
		carrier_set_action(&dfl, NULL);
	atomic_store(&carrier.chosen, sig);
}

/*
 * The signal is chosen first and installed when nobody is left who asks the
 * kernel about it, so that no call of the target lands on top of our handler.
 *
 * SA_RESTART, as a tick must not interrupt a system call that could go on.  All
 * signals blocked, so that no handler of the target runs (or jumps away) in the
 * middle of a capture.  Not SA_ONSTACK, unless it is asked for later: an alternate
 * stack may be 2 KiB.
 */
static bool install(int sig)
{
	struct kernel_action ours = { .handler = (void *)on_signal,
				      .flags = SA_SIGINFO | SA_RESTART | ARCH_SA_RESTORER,
				      .restorer = (void *)pprofshim_sigreturn,
				      .mask = ALL_SIGNALS };
	struct kernel_action found;
	unsigned wish_before;

	choose(sig);
	wish_before = current_wish();
	wait_for_visitors();
	if (kernel_action(sig, &ours, &found) != 0) {
		atomic_store(&carrier.chosen, 0);
		return false;
	}
	adopt(&found, wish_before);
	return true;
}

/* The next signal to try after `sig`; 0 at the end.  Standard signals first: they do not queue. */
static int next_choice(int sig)
{
	static const int standard[] = { SIGPROF, SIGVTALRM, SIGSTKFLT };

	for (size_t i = 0; i + 1 < ARRAY_SIZE(standard); i++) {
		if (sig == standard[i])
			return standard[i + 1];
	}
	if (sig == SIGSTKFLT)
		return 64; /* SIGRTMAX, downwards: programs take theirs from SIGRTMIN up */
	return sig > 35 && sig <= 64 ? sig - 1 : 0;
}

int carrier_acquire(const char **why)
{
	int sig = carrier_signal();

	if (sig && is_ours_now(sig))
		return sig;
	if (is_default(carrier.preferred) && install(carrier.preferred))
		return carrier.preferred;
	for (sig = SIGPROF; sig; sig = next_choice(sig)) {
		if (is_default(sig) && install(sig))
			return sig;
	}
	*why = "the program uses every signal that could carry a tick";
	return 0;
}

void carrier_use_alternate_stacks(void)
{
	struct kernel_action now;
	int sig = carrier_signal();

	if (kernel_action(sig, NULL, &now) != 0 || now.handler != (void *)on_signal ||
	    now.flags & SA_ONSTACK)
		return;
	now.flags |= SA_ONSTACK;
	kernel_action(sig, &now, NULL);
}

void carrier_retire(void)
{
	const struct kernel_action ignore = { .handler = (void *)SIG_IGN };

	if (carrier_signal() && is_ours_now(carrier_signal()))
		kernel_action(carrier_signal(), &ignore, NULL);
}
