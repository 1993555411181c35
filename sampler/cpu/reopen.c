#include "sampler/cpu/reopen.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/alternate_stacks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"
#include "sampler/cpu/nursery.h"
#include "sampler/cpu/roster.h"
#include "sampler/process/tasks.h"

#define REOPENER (CARRIER - 1)

/* Most such calls are over before anybody looks. */
#define PATIENCE_NS   (2 * NS_PER_MS)
#define LOOK_AGAIN_NS (100 * NS_PER_MS)

static atomic_int calls;	    /* under way; one whose signal handler jumped away never ends */
static atomic_uint ended;	    /* calls */
static unsigned ended_seen;	    /* when somebody looked last */
static int64_t look_ns = INT64_MAX; /* when to look; INT64_MAX: there was no call */

/* ---- in the thread that has the carrier blocked */

static void *_Atomic libcs; /* what there was before ours */
static char cookie;

static bool is_on(const ucontext_t *uc, uint64_t sp)
{
	return sp - (uint64_t)uc->uc_stack.ss_sp < uc->uc_stack.ss_size ||
	       alternate_stack_holds(sys_gettid(), sp);
}

/* A tick that waits would come on top of the handler. */
static void take_no_tick(void)
{
	if (roster_is_here() && !process_is_borrowed())
		roster_thread_opens();
}

static void reopen(ucontext_t *uc)
{
	if (is_on(uc, arch_interrupted_sp(uc)))
		take_no_tick();
	action_mask_show((uint64_t *)&uc->uc_sigmask.__val[0]);
}

/* A call at its end, so that a cancelled thread has no frame of ours. */
static void handle(int sig, siginfo_t *info, void *context)
{
	void (*next)(int, siginfo_t *, void *) = (void (*)(int, siginfo_t *, void *))libcs;

	if (info->si_code == SI_QUEUE && info->si_value.sival_ptr == &cookie)
		reopen(context);
	else if (libcs == (void *)SIG_DFL)
		kernel_die_of(sig);
	else if (libcs != (void *)SIG_IGN)
		next(sig, info, context);
}

/* ---- whoever looks */

static void note(const struct kernel_action *a)
{
	if (a->handler != (void *)handle)
		atomic_store(&libcs, a->handler);
}

/*
 * As libc sets its own, with the same way back, since a thread is unwound from there; or as the
 * program did, by a call of its own: its handler runs on the stack and with the mask that it chose.
 */
static bool install(void)
{
	struct kernel_action ours = { .handler = (void *)handle,
				      .flags = SA_SIGINFO | SA_RESTART | ARCH_SA_RESTORER,
				      .restorer = (void *)pprofshim_sigreturn };
	struct kernel_action before, found;

	if (kernel_action(REOPENER, NULL, &before) != 0)
		return false;
	if (before.handler == (void *)handle)
		return true;
	note(&before);
	if (before.flags & ARCH_SA_RESTORER)
		ours.restorer = before.restorer;
	ours.flags |= before.flags & (SA_ONSTACK | SA_NODEFER);
	ours.mask = before.mask;
	if (kernel_action(REOPENER, &ours, &found) != 0)
		return false;
	note(&found);
	return true;
}

/* By no code that libc's handler heeds. */
static void ask(int tid)
{
	siginfo_t info = { .si_signo = REOPENER, .si_code = SI_QUEUE };

	info.si_pid = sys_getpid();
	info.si_value.sival_ptr = &cookie;
	sys_call4(SYS_rt_tgsigqueueinfo, info.si_pid, tid, REOPENER, (long)&info);
}

/* ---- the listener */

static void look_at(int tid, void *unused)
{
	(void)unused;
	if (action_mask_is_ours(task_blocked_signals(tid)) && install())
		ask(tid);
}

/* libc makes one after the other, so it is another one that is under way now. */
static bool one_has_ended(void)
{
	unsigned before = ended_seen;

	ended_seen = atomic_load(&ended);
	return ended_seen != before;
}

int64_t reopen_do_due(int64_t now_ns)
{
	if (atomic_load(&calls) <= 0 || sandbox_is_noted()) {
		look_ns = INT64_MAX;
		return look_ns;
	}
	if (one_has_ended() || look_ns == INT64_MAX)
		look_ns = MIN(look_ns, now_ns + PATIENCE_NS);
	if (now_ns >= look_ns) {
		tasks_each_known(look_at, NULL);
		look_ns = now_ns + LOOK_AGAIN_NS;
	}
	return look_ns;
}

/* ---- hooks */

static void ask_other(int tid)
{
	if (tid != sys_gettid())
		ask(tid);
}

/*
 * It ticks for its parent's profile, and has no listener that could look: all of its threads are
 * asked.  libc interrupts them anyway.
 */
static COLD NOINLINE void ask_in_child(void)
{
	if (!sandbox_is_noted() && !process_is_borrowed() && install())
		roster_each_here(ask_other);
}

bool reopen_begin(void)
{
	if (UNLIKELY(nursery_is_joined()) && action_masks_have_carrier() && roster_is_here())
		ask_in_child();
	if (sandbox_is_noted() || process_is_borrowed())
		return false;
	atomic_fetch_add(&calls, 1);
	if (UNLIKELY(action_masks_have_carrier()))
		wake(); /* or a listener that is just being started looks by itself */
	return true;
}

void reopen_end(bool began)
{
	if (!began)
		return;
	atomic_fetch_add(&ended, 1);
	if (atomic_fetch_sub(&calls, 1) > 1 && UNLIKELY(action_masks_have_carrier()))
		wake(); /* the next one begins, that stood behind this one */
}

void reopen_after_fork(void)
{
	atomic_store(&calls, 0);
	look_ns = INT64_MAX;
}
