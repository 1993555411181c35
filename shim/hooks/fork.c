/*
 * fork, daemon, and the ends of a process that a child of its is to hear of.
 *
 * In fork itself we do nothing: our thread is none of libc's, so libc takes no lock
 * for it, and a child puts our state in order when a hook needs it (after_fork.h); while a
 * CPU profile is being taken, at once, as it has its parent's handlers with our signal in their
 * masks, and may be to tick from its start.
 * Only a thread that could be ticked keeps the signal pending meanwhile: with a large
 * address space and a short period, an older kernel would start the copy again at
 * every tick and never end (H44).
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/out.h"
#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/nursery.h"
#include "sampler/cpu/roster.h"
#include "shim/life/after_fork.h"
#include "shim/life/ending.h"
#include "shim/life/probe.h"
#include "shim/life/takeover.h"
#include "shim/real/real.h"

/* Blocked here and free before: what pthread_atfork's handlers do to the mask stays. */
static COLD NOINLINE pid_t fork_sampled(void)
{
	uint64_t mask = 1ULL << (CARRIER - 1), before = 0;
	pid_t pid;

	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, (long)&before, sizeof(mask));
	pid = real()->fork();
	if (!(before & mask))
		sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&mask, 0, sizeof(mask));
	return pid;
}

static bool is_sampled(void)
{
	return UNLIKELY(roster_is_open()) && process_is_ours() && !process_is_borrowed();
}

/* A child has the last process that entered for its parent. */
static void prepare(void)
{
	after_fork_enter();
	takeover_note_fork();
}

/*
 * Another library's constructor forks before ours has run: parent and child must be
 * told apart.  Once; not under a filter, of which nothing is known yet.
 */
static COLD NOINLINE void begin_before_constructor(void)
{
	static bool done;

	if (!done && !probe_sees_filter())
		process_state_init();
	done = true;
}

static COLD NOINLINE void begin_recording(void)
{
	after_fork_enter();
	takeover_record();
}

EXPORT pid_t fork(void)
{
	pid_t pid;

	if (sandbox_is_noted())
		return real()->fork();
	if (UNLIKELY(!process_state_page))
		begin_before_constructor();
	prepare();
	pid = is_sampled() ? fork_sampled() : real()->fork();
	if (pid == 0 && out_is_wanted())
		begin_recording();
	else if (pid == 0 && UNLIKELY(nursery_is_open() || action_masks_may_be_in()))
		after_fork_enter();
	return pid;
}

/* What returns from it is the child of a process that ended on purpose. */
EXPORT int daemon(int nochdir, int noclose)
{
	int err;

	if (!sandbox_is_noted())
		prepare();
	err = real()->daemon(nochdir, noclose);
	if (err == 0) {
		after_fork_enter();
		takeover_expect_end();
	}
	return err;
}

static void note_exit(void)
{
	if (UNLIKELY(nursery_is_joined()) && !sandbox_is_noted() && !process_is_borrowed())
		nursery_note_exit();
	if (takeover_has_forked())
		takeover_note_exit();
}

static void end_later(void)
{
}

/* X(name, ending): no header declares what all of these are alike in. */
#define EXITS(X)                                                                                   \
	X(exit, end_later)                                                                         \
	X(_exit, ending_now)                                                                       \
	X(_Exit, ending_now)                                                                       \
	X(quick_exit, ending_now)

#define X(name, ending)                                                                            \
	EXPORT __attribute__((noreturn)) void name(int status)                                     \
	{                                                                                          \
		note_exit();                                                                       \
		takeover_finish();                                                                 \
		ending();                                                                          \
		real()->name(status);                                                              \
		__builtin_unreachable();                                                           \
	}
EXITS(X)
#undef X
