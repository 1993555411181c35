/*
 * Calls by which a program confines itself: it gives up privileges, enters
 * namespaces, installs a system-call filter.  Most of them are about the calling
 * thread alone, and a program with one thread believes that they are about the
 * process.  So our thread has to be as confined as the program's main thread:
 *
 *   FOLLOWED   our thread makes the same call when the main thread has made it
 *   ALONE      our thread ends first, because the kernel refuses the call to a
 *              process with several threads, or because only a thread that is made
 *              afterwards has what the call brings; then it is started again
 *   FILTERED   a system-call filter.  One that allows all of our calls (filter.h)
 *              is as ALONE, for the next thread inherits it.  Any other ends our
 *              thread for good, if it is the main thread's or all threads', and
 *              makes handler and hooks quiet (sampler/base/sandbox.h)
 *   CLOCKED    PR_SET_TSC: the processor's clock may be read no more
 *   DISPATCHED system calls of the program's choice become signals: as in a filter
 *              that refuses everything, but our thread is not concerned
 *
 * What a thread other than the main thread does to itself is its own affair.
 *
 * Left alone: setfsuid and setfsgid, which any thread may take back; what is asked
 * (PR_CAP_AMBIENT_IS_SET and the like); network, IPC and other namespaces that do
 * not change what files are called.
 */
#include <errno.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/roster.h"
#include "shim/hooks/signal_syscall.h"
#include "shim/hooks/stub.h"
#include "shim/life/after_fork.h"
#include "shim/life/ending.h"
#include "shim/life/filter.h"
#include "shim/life/follow.h"
#include "shim/life/last_thread.h"
#include "shim/life/listener.h"
#include "shim/life/takeover.h"
#include "shim/life/tell.h"
#include "shim/real/real.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

enum effect { NONE, FOLLOWED, ALONE, FILTERED, CLOCKED, DISPATCHED };

/* ---- what a call does */

/* In one thread only, where nothing else is said in prctl(2). */
static enum effect effect_of_prctl(int option, unsigned long second, unsigned long third)
{
	switch (option) {
	case PR_SET_KEEPCAPS:
	case PR_SET_SECUREBITS:
	case PR_SET_NO_NEW_PRIVS:
	case PR_CAPBSET_DROP:
	case PR_SET_SPECULATION_CTRL:
		return FOLLOWED;
	case PR_CAP_AMBIENT:
		return second == PR_CAP_AMBIENT_IS_SET ? NONE : FOLLOWED;
	case PR_SET_SECCOMP:
		/* without a program it is a question whether the kernel has filters */
		return second == SECCOMP_MODE_STRICT || (second == SECCOMP_MODE_FILTER && third)
			       ? FILTERED
			       : NONE;
	case PR_SET_TSC:
		return second == PR_TSC_SIGSEGV ? CLOCKED : NONE;
	case PR_SET_SYSCALL_USER_DISPATCH:
		return second ? DISPATCHED : NONE;
	default:
		return NONE;
	}
}

/* A new process id namespace is for children: until then no thread can be made. */
static enum effect effect_of_unshare(unsigned long flags)
{
	if (flags & (CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM))
		return ALONE;
	if (flags & (CLONE_NEWNS | CLONE_FS) && !(flags & CLONE_NEWPID) && last_thread_is_main())
		return ALONE;
	return NONE;
}

/* Any kind, when the descriptor says which. */
static enum effect effect_of_setns(unsigned long kind)
{
	return kind == 0 || kind & (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWTIME) ? ALONE : NONE;
}

/* With other flags than there are, or without a program, it is a question, as libseccomp asks. */
static enum effect effect_of_seccomp(const struct request *r)
{
	if (r->arg[0] == SECCOMP_SET_MODE_STRICT)
		return !r->arg[1] && !r->arg[2] ? FILTERED : NONE;
	return r->arg[0] == SECCOMP_SET_MODE_FILTER && r->arg[2] ? FILTERED : NONE;
}

static enum effect effect_of(const struct request *r)
{
	switch (r->number) {
	case SYS_prctl:
		return effect_of_prctl((int)r->arg[0], (unsigned long)r->arg[1],
				       (unsigned long)r->arg[2]);
	case SYS_seccomp:
		return effect_of_seccomp(r);
	case SYS_unshare:
		return effect_of_unshare((unsigned long)r->arg[0]);
	case SYS_setns:
		return effect_of_setns((unsigned long)r->arg[1]);
	case SYS_keyctl:
		return r->arg[0] == KEYCTL_JOIN_SESSION_KEYRING && last_thread_is_main() ? ALONE
											 : NONE;
	case SYS_landlock_restrict_self:
		return last_thread_is_main() ? ALONE : NONE;
	case SYS_exit:
		return NONE;
	default: /* capset, set*id, setgroups: what the stub hands over (SYSCALLS below) */
		return FOLLOWED;
	}
}

/* ---- around the call */

typedef long (*real_call)(const struct request *r);

/* errno is left as it was by both. */
static long call_alone(const struct request *r, real_call call)
{
	long result;

	listener_pause_begin();
	result = call(r);
	listener_pause_end();
	return result;
}

static long call_and_follow(const struct request *r, real_call call)
{
	long result = call(r);
	int saved = errno;

	if (result == 0 && last_thread_is_main())
		follow(r);
	errno = saved;
	return result;
}

/* ---- filters */

/* Where a handler cannot return a tick would be the last thing that happens. */
static void stop_ticks(const char *why)
{
	cpu_disable(why);
	roster_retire();
	carrier_retire();
	action_masks_take_out();
}

static bool is_of_all_threads(const struct request *r)
{
	return r->number == SYS_seccomp && r->arg[0] == SECCOMP_SET_MODE_FILTER &&
	       r->arg[1] & SECCOMP_FILTER_FLAG_TSYNC;
}

/* The third argument of prctl and of seccomp; NULL: the strict mode. */
static const struct sock_fprog *program_of(const struct request *r)
{
	bool is_strict = r->number == SYS_prctl ? r->arg[1] == SECCOMP_MODE_STRICT
						: r->arg[0] == SECCOMP_SET_MODE_STRICT;

	return is_strict ? NULL : (const struct sock_fprog *)r->arg[2];
}

/* The strict mode leaves read, write, exit and rt_sigreturn, and the processor's clock
 * may not be read. */
static struct filter_verdict verdict_on(const struct request *r)
{
	const struct sock_fprog *program = program_of(r);

	if (program)
		return filter_judge(program);
	monotonic_avoid_cycles();
	return (struct filter_verdict){ .refuses = "nearly every system call",
					.lets_handlers_return = true };
}

/* Nothing can be said, nor ended, once the filter is in force; what fails is taken back. */
static long call_and_be_quiet(const struct request *r, real_call call,
			      const struct filter_verdict *v, bool concerns_us)
{
	long result;

	roster_quit_young();
	if (!v->lets_handlers_return)
		stop_ticks("a system-call filter of the program forbids signal handlers to return");
	if (!concerns_us) {
		listener_pause_end(); /* later it could not be */
	} else if (listener_is_running()) {
		if (listener_is_serving())
			tell_user_late("a system-call filter of the program may refuse ",
				       v->refuses);
		listener_pause_begin();
	}
	if (concerns_us && !v->lets_handlers_return && roster_is_quiet())
		carrier_leave(); /* the listener starts no timer any more */
	if (concerns_us && !roster_may_tick())
		action_masks_take_out(); /* the listener does it a moment after a profile */
	sandbox_note();
	result = call(r);
	if (result == 0) {
		if (concerns_us)
			process_moves(PROCESS_FILTERED);
	} else {
		sandbox_forget();
		listener_pause_end();
	}
	return result;
}

static long call_filtered(const struct request *r, real_call call)
{
	bool concerns_us = is_of_all_threads(r) || last_thread_is_main();
	struct filter_verdict v = verdict_on(r);
	long result;

	if (v.refuses)
		return call_and_be_quiet(r, call, &v, concerns_us);
	if (v.kills_threads && concerns_us)
		last_thread_expect_kill();
	result = concerns_us ? call_alone(r, call) : call(r);
	if (result == 0)
		sandbox_expect_another();
	return result;
}

static COLD NOINLINE long call_confining(const struct request *r, real_call call)
{
	enum effect effect = effect_of(r);

	if (effect == NONE || sandbox_is_noted() || process_is_borrowed())
		return call(r);
	switch (effect) {
	case FOLLOWED:
		return call_and_follow(r, call);
	case ALONE:
		return call_alone(r, call);
	case FILTERED:
		return call_filtered(r, call);
	case CLOCKED:
		monotonic_avoid_cycles();
		return call(r);
	default: /* DISPATCHED */
		roster_quit_young();
		stop_ticks("the program takes system calls itself (PR_SET_SYSCALL_USER_DISPATCH)");
		sandbox_note();
		return call(r);
	}
}

/* ---- libc's functions */

static long real_prctl(const struct request *r)
{
	return real()->prctl((int)r->arg[0], r->arg[1], r->arg[2], r->arg[3], r->arg[4]);
}

EXPORT int hook_prctl(int option, long a, long b, long c, long d) ARCH_AS_VARIADIC("prctl");
int hook_prctl(int option, long a, long b, long c, long d)
{
	struct request r = { SYS_prctl, { option, a, b, c, d } };

	return (int)call_confining(&r, real_prctl);
}

static long real_unshare(const struct request *r)
{
	return real()->unshare((int)r->arg[0]);
}

EXPORT int unshare(int flags)
{
	return (int)call_confining(&(struct request){ SYS_unshare, { flags } }, real_unshare);
}

static long real_setns(const struct request *r)
{
	return real()->setns((int)r->arg[0], (int)r->arg[1]);
}

EXPORT int setns(int fd, int kind)
{
	return (int)call_confining(&(struct request){ SYS_setns, { fd, kind } }, real_setns);
}

static long real_capset(const struct request *r)
{
	return real()->capset((void *)r->arg[0], (const void *)r->arg[1]);
}

/* In no header of libc's. */
int capset(void *header, const void *data);

EXPORT int capset(void *header, const void *data)
{
	struct request r = { SYS_capset, { (long)header, (long)data } };

	return (int)call_confining(&r, real_capset);
}

/* ---- limits */

/*
 * The last moment at which a thread can be made, maybe: a child that is to take over
 * when its parent ends has its listener wait for that from now on (haproxy -D).  One that
 * cannot have any thread more (haproxy -W) has its listener before anybody asks.  `to`: NULL
 * is a question.
 */
static COLD NOINLINE void look_before_limit(const struct rlimit *to)
{
	after_fork_enter();
	if (!process_is_in_order() || !to)
		return;
	if (to->rlim_cur <= 1) /* the process itself is one */
		takeover_join_early();
	takeover_look(true);
}

/* On 64-bit machines both are one. */
_Static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "limits of 64 bits");

/* X(name, parameters, arguments) */
#define LIMIT_CALLS(X)                                                                             \
	X(setrlimit, (__rlimit_resource_t resource, const struct rlimit *to), (resource, to))      \
	X(setrlimit64, (__rlimit_resource_t resource, const struct rlimit64 *to), (resource, to))  \
	X(prlimit,                                                                                 \
	  (pid_t pid, enum __rlimit_resource resource, const struct rlimit *to,                    \
	   struct rlimit *old),                                                                    \
	  (pid, resource, to, old))                                                                \
	X(prlimit64,                                                                               \
	  (pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *to,                  \
	   struct rlimit64 *old),                                                                  \
	  (pid, resource, to, old))

#define X(name, parameters, arguments)                                                             \
	EXPORT int name parameters                                                                 \
	{                                                                                          \
		if (UNLIKELY(!process_is_ours()) && resource == RLIMIT_NPROC)                      \
			look_before_limit((const void *)to);                                       \
		return real()->name arguments;                                                     \
	}
LIMIT_CALLS(X)
#undef X

/* ---- syscall() */

static long real_call_by_number(const struct request *r)
{
	const long *arg = r->arg;

	return real()->syscall(r->number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/*
 * The stub of syscall() (shim/arch) looks here.  It jumps to the function below for
 * the numbers that are marked, and to the next syscall() for all others: those may
 * return twice or on another stack, so nothing of ours may stay behind.
 */
const unsigned char pprofshim_taken_syscalls[TAKEN_SYSCALLS] = {
	[SYS_exit] = 1,		 [SYS_prctl] = 1,
	[SYS_seccomp] = 1,	 [SYS_capset] = 1,
	[SYS_unshare] = 1,	 [SYS_setns] = 1,
	[SYS_keyctl] = 1,	 [SYS_landlock_restrict_self] = 1,
	[SYS_setuid] = 1,	 [SYS_setgid] = 1,
	[SYS_setreuid] = 1,	 [SYS_setregid] = 1,
	[SYS_setresuid] = 1,	 [SYS_setresgid] = 1,
	[SYS_setgroups] = 1,	 [SYS_bind] = 1,
	[SYS_exit_group] = 1,

	[SYS_rt_sigaction] = 1,	 [SYS_rt_sigprocmask] = 1,
	[SYS_rt_sigpending] = 1, [SYS_sigaltstack] = 1,
};

long pprofshim_taken_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	struct request r = { number, { a, b, c, d, e, f } };

	switch (number) {
	case SYS_rt_sigaction:
		return signal_syscall_action(a, (const void *)b, (void *)c, d);
	case SYS_rt_sigprocmask:
		return signal_syscall_mask(a, (const void *)b, (void *)c, d);
	case SYS_rt_sigpending:
		return signal_syscall_pending((void *)a, b);
	case SYS_sigaltstack:
		return signal_syscall_stack((const void *)a, (void *)b);
	case SYS_bind:
		return bind((int)a, (const struct sockaddr *)b, (socklen_t)c);
	case SYS_exit_group:
		ending_now();
		break;
	case SYS_exit:
		pprofshim_before_exit((int)a);
	}
	return call_confining(&r, real_call_by_number);
}
