#include "sampler/locks/wait_reason.h"

#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "sampler/base/cc.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

struct named_call {
	uint16_t nr;
	const char *reason;
};

static const char read_call[] = "read", write_call[] = "write";

static const struct named_call calls[] = {
	{ SYS_read, read_call },
	{ SYS_readv, read_call },
	{ SYS_pread64, read_call },
	{ SYS_preadv, read_call },
	{ SYS_preadv2, read_call },
	{ SYS_write, write_call },
	{ SYS_writev, write_call },
	{ SYS_pwrite64, write_call },
	{ SYS_pwritev, write_call },
	{ SYS_pwritev2, write_call },
	{ SYS_sendfile, write_call },
	{ SYS_splice, "splice" },
	{ SYS_recvfrom, "socket receive" },
	{ SYS_recvmsg, "socket receive" },
	{ SYS_recvmmsg, "socket receive" },
	{ SYS_sendto, "socket send" },
	{ SYS_sendmsg, "socket send" },
	{ SYS_sendmmsg, "socket send" },
	{ SYS_accept, "socket accept" },
	{ SYS_accept4, "socket accept" },
	{ SYS_connect, "socket connect" },
	{ SYS_ppoll, "poll" },
	{ SYS_pselect6, "select" },
	{ SYS_epoll_pwait, "epoll wait" },
	{ SYS_epoll_pwait2, "epoll wait" },
	{ SYS_nanosleep, "sleep" },
	{ SYS_clock_nanosleep, "sleep" },
	{ SYS_rt_sigsuspend, "signal wait" },
	{ SYS_rt_sigtimedwait, "signal wait" },
	{ SYS_wait4, "child wait" },
	{ SYS_waitid, "child wait" },
	{ SYS_semop, "semaphore wait" },
	{ SYS_semtimedop, "semaphore wait" },
	{ SYS_msgrcv, "message receive" },
	{ SYS_msgsnd, "message send" },
	{ SYS_mq_timedreceive, "message receive" },
	{ SYS_mq_timedsend, "message send" },
	{ SYS_io_getevents, "IO wait" },
	{ SYS_io_pgetevents, "IO wait" },
	{ SYS_io_uring_enter, "IO wait" },
	{ SYS_fsync, "IO wait" },
	{ SYS_fdatasync, "IO wait" },
	{ SYS_sync_file_range, "IO wait" },
	{ SYS_flock, "file lock" },
	{ SYS_fcntl, "file lock" },
	{ SYS_openat, "open" },
	{ SYS_ioctl, "ioctl" },
	{ SYS_futex_waitv, "futex wait" },
#ifdef SYS_poll /* kernels for newer processors have none of these */
	{ SYS_poll, "poll" },
	{ SYS_select, "select" },
	{ SYS_epoll_wait, "epoll wait" },
	{ SYS_pause, "signal wait" },
	{ SYS_vfork, "child wait" },
	{ SYS_open, "open" },
#endif
};

static const char *reason_of(int64_t nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].nr == nr)
			return calls[i].reason;
	return "system call";
}

static bool is_pi(uint64_t op)
{
	op &= FUTEX_CMD_MASK;
	return op == FUTEX_LOCK_PI || op == 13 /* FUTEX_LOCK_PI2, not in every header */;
}

static const char futex_wait[] = "futex wait";

/*
 * A poll, a sleep or a futex with a timeout that was interrupted (SIGSTOP, a debugger) goes on by
 * another number; libc's function tells which it is.
 */
static const char restarted[] = "restarted wait";

struct wait_reason wait_reason_of_futex(const char *reason)
{
	if (strcmp(reason, futex_wait) == 0 || strcmp(reason, restarted) == 0)
		return (struct wait_reason){ .kind = WAIT_FUTEX, .reason = reason };
	return (struct wait_reason){ .kind = WAIT_OTHER };
}

/* futex(word, op, value, timeout, ...) */
static struct wait_reason reason_of_futex(const struct task_call *call)
{
	struct wait_reason w = { .kind = WAIT_FUTEX, .reason = futex_wait };

	w.timed = call->arg[3] != 0;
	if (is_pi(call->arg[1])) {
		w.kind = WAIT_MUTEX;
		w.reason = "mutex wait";
	}
	return w;
}

struct wait_reason wait_reason_of_call(const struct task_call *call)
{
	if (call->state == TASK_STOPPED)
		return (struct wait_reason){ .reason = "stopped or page fault" };
	if (call->nr == SYS_futex)
		return reason_of_futex(call);
	if (call->nr == SYS_restart_syscall)
		return (struct wait_reason){ WAIT_FUTEX, restarted, true };
	return (struct wait_reason){ .reason = reason_of(call->nr) };
}

/* ---- descriptors */

static const struct {
	const char *read, *write;
} of_kind[] = {
	[DESCRIPTOR_UNKNOWN] = { read_call, write_call },
	[DESCRIPTOR_SOCKET] = { "read socket", "write socket" },
	[DESCRIPTOR_PIPE] = { "read pipe", "write pipe" },
	[DESCRIPTOR_EVENT] = { "read event", "write event" },
	[DESCRIPTOR_DEVICE] = { "read device", "write device" },
	[DESCRIPTOR_FILE] = { "read file", "write file" },
};

bool wait_reason_is_of_descriptor(const struct wait_reason *w)
{
	return w->reason == read_call || w->reason == write_call;
}

const char *wait_reason_of_descriptor(const struct wait_reason *w, enum descriptor_kind kind)
{
	return w->reason == read_call ? of_kind[kind].read : of_kind[kind].write;
}

/* ---- libc's functions */

struct named_function {
	const char *start; /* of the name, without leading underscores */
	enum wait_kind kind;
	const char *reason;
};

/* Exported names and those that debug symbols have, of glibc 2.17 and later. */
static const struct named_function functions[] = {
	{ "pthread_mutex_", WAIT_MUTEX, "mutex wait" },
	{ "lll_lock_wait_private", WAIT_LIBC, "libc lock wait" },
	{ "mtx_lock", WAIT_MUTEX, "mutex wait" },
	{ "mtx_timedlock", WAIT_MUTEX, "mutex wait" },
	{ "pthread_rwlock_", WAIT_RWLOCK, "rwlock wait" },
	{ "pthread_cond_", WAIT_COND, "condition wait" },
	{ "cnd_wait", WAIT_COND, "condition wait" },
	{ "cnd_timedwait", WAIT_COND, "condition wait" },
	{ "sem_wait", WAIT_SEMAPHORE, "semaphore wait" },
	{ "sem_timedwait", WAIT_SEMAPHORE, "semaphore wait" },
	{ "sem_clockwait", WAIT_SEMAPHORE, "semaphore wait" },
	{ "new_sem_", WAIT_SEMAPHORE, "semaphore wait" },
	{ "pthread_barrier_wait", WAIT_BARRIER, "barrier wait" },
	{ "pthread_join", WAIT_JOIN, "join" },
	{ "pthread_timedjoin", WAIT_JOIN, "join" },
	{ "pthread_clockjoin", WAIT_JOIN, "join" },
	{ "thrd_join", WAIT_JOIN, "join" },
	{ "pthread_once", WAIT_ONCE, "once wait" },
	{ "call_once", WAIT_ONCE, "once wait" },
	{ "poll", WAIT_OTHER, "poll" },
	{ "nanosleep", WAIT_OTHER, "sleep" },
	{ "clock_nanosleep", WAIT_OTHER, "sleep" },
};

static const char *bare(const char *name)
{
	while (*name == '_')
		name++;
	return strncmp(name, "GI_", 3) == 0 ? bare(name + 3) : name;
}

bool wait_reason_refine(struct wait_reason *w, const char *function)
{
	if (w->kind != WAIT_FUTEX)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (strncmp(bare(function), functions[i].start, strlen(functions[i].start)) != 0)
			continue;
		w->kind = functions[i].kind;
		w->reason = functions[i].reason;
		return true;
	}
	return false;
}

bool wait_reason_refine_cxx(struct wait_reason *w, const char *function)
{
	if (strcmp(function, "__cxa_guard_acquire") != 0)
		return false;
	w->reason = "static initialization wait";
	return true;
}

/* ---- the kernel's functions */

static const struct {
	const char *part, *reason;
} sleeps[] = {
	{ "futex", "futex wait" },
	{ "ep_poll", "epoll wait" },
	{ "do_epoll_wait", "epoll wait" },
	{ "do_select", "select" },
	{ "poll", "poll" },
	{ "nanosleep", "sleep" },
	{ "sigtimedwait", "signal wait" },
	{ "sigsuspend", "signal wait" },
	{ "accept", "socket accept" },
	{ "connect", "socket connect" },
	{ "recv", "socket receive" },
	{ "skb_wait", "socket receive" },
	{ "wait_for_more_packets", "socket receive" },
	{ "wait_for_wmem", "socket send" },
	{ "sk_stream_wait_memory", "socket send" },
	{ "sk_wait_data", "socket receive" },
	{ "pipe_read", "read" },
	{ "pipe_wait", "read" },
	{ "pipe_write", "write" },
	{ "do_wait", "child wait" },
	{ "semtimedop", "semaphore wait" },
	{ "msgrcv", "message receive" },
	{ "read_events", "IO wait" },
	{ "io_schedule", "IO wait" },
	{ "tty_read", "read" },
};

const char *wait_reason_of_wchan(const char *wchan)
{
	for (size_t i = 0; *wchan && i < ARRAY_SIZE(sleeps); i++)
		if (strstr(wchan, sleeps[i].part))
			return sleeps[i].reason;
	return NULL;
}
