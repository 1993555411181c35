#include "shim/life/probe.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/status.h"
#include "sampler/base/sys.h"
#include "shim/life/calls.h"

/* Shared with the child: how far it came. */
struct progress {
	volatile size_t next;
};

/* Without /proc it is not known, which is no different from being filtered. */
bool probe_sees_filter(void)
{
	static char status[4096]; /* a hook runs on the program's stack, which may be small */
	bool filtered;

	if (sys_read_file("/proc/self/status", status, sizeof(status)) <= 0)
		return true;
	filtered = status_number(status, "Seccomp", 10) != 0;
	sandbox_set_first(status_number(status, "Seccomp_filters", 10), filtered);
	return filtered;
}

/* ---- the child */

/*
 * Where the filter kills, the kernel would write a core file.  libc itself asks for a
 * limit when a program starts.  1 and not 0, which a helper that takes core dumps
 * through a pipe would not heed.
 */
static void leave_no_core(void)
{
	const struct rlimit no_core = { 1, 1 };

	sys_call4(SYS_prlimit64, 0, RLIMIT_CORE, (long)&no_core, 0);
}

/* Or a handler of the program's would run, where the filter raises SIGSYS. */
static long let_sigsys_kill(void)
{
	const uint64_t by_default[4] = { 0 };

	return sys_call4(SYS_rt_sigaction, SIGSYS, (long)by_default, 0, sizeof(uint64_t));
}

/*
 * -1 is no descriptor, no address, no clock and no set of flags, so that every call
 * fails without an effect.  As a process it is all of them: kill gets one that
 * cannot be.  exit is what the child does at last.
 */
static long try(long number)
{
	if (number == SYS_exit)
		return 0;
	if (number == SYS_rt_sigaction)
		return let_sigsys_kill();
	if (number == SYS_rt_sigreturn)
		arch_return_to_nowhere();
	return sys_call6(number, number == SYS_kill ? INT32_MAX : -1, -1, -1, -1, -1, -1);
}

/* By exit, as our thread will; where that is refused, by whatever ends it. */
static _Noreturn void try_rest(struct progress *p)
{
	leave_no_core();
	while (p->next < own_call_count) {
		const struct own_call *c = &own_calls[p->next];

		if (try(c->number) != -EINVAL && c->need == MUST_WORK)
			__builtin_trap();
		p->next = p->next + 1;
	}
	sys_call3(SYS_exit, 0, 0, 0);
	__builtin_trap();
}

/* ---- the parent */

/* About a second; no call is known to be allowed until the child has tried it. */
#define PATIENCE (1UL << 24)

/* The first call of the list is wait4, without which a child cannot be waited for. */
static bool can_wait(const struct progress *p)
{
	for (unsigned long i = 0; p->next == 0 && i < PATIENCE; i++)
		arch_spin_hint();
	return p->next > 0;
}

static void note(struct probe_result *out, const struct own_call *c)
{
	if (c->need <= AT_START && !out->forbidden)
		out->forbidden = c->name;
	out->no_write |= c->number == SYS_write;
	out->no_timers |= c->need == FOR_TIMERS;
	out->no_foreign_reads |= c->need == FOR_FOREIGN_READS;
	out->no_niceties |= c->need == FOR_NICETIES;
	if (c->need == FOR_FILES && !out->no_files)
		out->no_files = c->name;
}

/*
 * No exit signal: the target's SIGCHLD handler and wait() never hear of it.  False: the
 * child cannot be made or not be waited for.
 */
static bool run_child(struct progress *p, struct probe_result *out, int *status)
{
	long pid = sys_call6(SYS_clone, 0, 0, 0, 0, 0, 0);

	if (pid == 0)
		try_rest(p);
	if (pid < 0) {
		out->forbidden = "clone";
		return false;
	}
	if (can_wait(p) &&
	    sys_call4(SYS_wait4, pid, (long)status, 0x40000000 /* __WALL */, 0) == pid)
		return true;
	out->forbidden = "wait4";
	out->no_write = true; /* that is not known */
	return false;
}

/* Where the child died is a call that kills; the next child goes on behind it. */
static void try_all(struct progress *p, struct probe_result *out)
{
	int status = 0;

	while (p->next < own_call_count && run_child(p, out, &status)) {
		if (p->next == own_call_count) {
			if (!WIFEXITED(status) && !out->forbidden)
				out->forbidden = "exit";
		} else if (own_calls[p->next].number != SYS_rt_sigreturn ||
			   WTERMSIG(status) != SIGSEGV) {
			note(out, &own_calls[p->next]);
		}
		p->next = MIN(p->next + 1, own_call_count);
	}
}

static void try_calls(struct probe_result *out)
{
	long p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (sys_failed(p)) {
		out->forbidden = "mmap";
		return;
	}
	try_all((struct progress *)p, out);
	sys_call3(SYS_munmap, p, PAGE_BYTES, 0);
}

const struct probe_result *probe_filter(void)
{
	static struct probe_result result;
	static bool is_known;

	if (!is_known && probe_sees_filter())
		try_calls(&result);
	is_known = true;
	return &result;
}
