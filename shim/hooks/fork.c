/*
 * fork and daemon.  fork() is announced to child.c, which writes down who forked;
 * nothing else happens in either process.  A thread that could be ticked keeps
 * the signal pending meanwhile: with a large address space and a short period,
 * an older kernel would start the copy again at every tick and never end (H44).
 */
#include <signal.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/roster.h"
#include "shim/life/child.h"
#include "shim/life/life.h"
#include "shim/real/real.h"

static uint64_t block_ticks(void)
{
	uint64_t mask = 1ULL << (carrier_signal() - 1), before = 0;

	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, (long)&before, sizeof(mask));
	return before;
}

static void restore_mask(uint64_t before)
{
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before));
}

static COLD NOINLINE pid_t fork_sampled(void)
{
	uint64_t before = block_ticks();
	pid_t pid = real()->fork();

	restore_mask(before);
	return pid;
}

static bool is_sampled(void)
{
	return UNLIKELY(roster_is_open()) && !life_is_child() && !life_is_borrowed() &&
	       !sandbox_is_noted();
}

EXPORT pid_t fork(void)
{
	if (sandbox_is_noted())
		return real()->fork();
	child_before_fork();
	return is_sampled() ? fork_sampled() : real()->fork();
}

/* What returns from it is the child of a process that ended on purpose. */
EXPORT int daemon(int nochdir, int noclose)
{
	int err;

	if (!sandbox_is_noted())
		child_before_fork();
	err = real()->daemon(nochdir, noclose);
	if (err == 0 && life_is_child())
		child_succeed();
	return err;
}
