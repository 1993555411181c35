#include "shim/life/probe.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

enum need { NEEDED, FOR_TIMERS, FOR_FOREIGN_READS, FOR_SCHEDULING };

struct call {
	const char *name;
	long number;
	enum need need;
};

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static const struct call calls[] = {
	{ "openat", SYS_openat, NEEDED },
	{ "read", SYS_read, NEEDED },
	{ "pread64", SYS_pread64, NEEDED },
	{ "close", SYS_close, NEEDED },
	{ "close_range", SYS_close_range, NEEDED },
	{ "getdents64", SYS_getdents64, NEEDED },
	{ "newfstatat", SYS_newfstatat, NEEDED },
	{ "fstat", SYS_fstat, NEEDED },
	{ "mmap", SYS_mmap, NEEDED },
	{ "munmap", SYS_munmap, NEEDED },
	{ "madvise", SYS_madvise, NEEDED },
	{ "futex", SYS_futex, NEEDED },
	{ "ppoll", SYS_ppoll, NEEDED },
	{ "socket", SYS_socket, NEEDED },
	{ "setsockopt", SYS_setsockopt, NEEDED },
	{ "bind", SYS_bind, NEEDED },
	{ "listen", SYS_listen, NEEDED },
	{ "accept4", SYS_accept4, NEEDED },
	{ "recvfrom", SYS_recvfrom, NEEDED },
	{ "sendto", SYS_sendto, NEEDED },
	{ "clock_nanosleep", SYS_clock_nanosleep, NEEDED },
	{ "rt_sigprocmask", SYS_rt_sigprocmask, NEEDED },
	{ "timer_create", SYS_timer_create, FOR_TIMERS },
	{ "timer_settime", SYS_timer_settime, FOR_TIMERS },
	{ "timer_delete", SYS_timer_delete, FOR_TIMERS },
	{ "rt_sigaction", SYS_rt_sigaction, FOR_TIMERS },
	{ "clock_getres", SYS_clock_getres, FOR_TIMERS },
	{ "process_vm_readv", SYS_process_vm_readv, FOR_FOREIGN_READS },
	{ "sched_setscheduler", SYS_sched_setscheduler, FOR_SCHEDULING },
	{ "prctl", SYS_prctl, FOR_SCHEDULING },
};

/* Shared with the child: how far it came. */
struct progress {
	volatile size_t next;
};

/* One digit is enough: nobody is started under ten filters. */
static unsigned status_number(const char *status, const char *name)
{
	const char *line = strstr(status, name);

	return line ? (unsigned)line[strlen(name)] - '0' : 0;
}

static bool is_filtered(void)
{
	char status[4096];
	bool filtered;

	if (sys_read_file("/proc/self/status", status, sizeof(status)) <= 0)
		return false;
	filtered = status_number(status, "\nSeccomp:\t") != 0;
	sandbox_set_first(status_number(status, "\nSeccomp_filters:\t"), filtered);
	return filtered;
}

/* -1 is no descriptor, no address and no clock, so that every call fails without an effect. */
static _Noreturn void try_rest(struct progress *p)
{
	while (p->next < ARRAY_SIZE(calls)) {
		sys_call6(calls[p->next].number, -1, -1, -1, -1, -1, -1);
		p->next = p->next + 1;
	}
	for (;;)
		sys_call3(SYS_exit_group, 0, 0, 0);
}

/* No exit signal: the target's SIGCHLD handler and wait() never hear of it. */
static bool run_child(struct progress *p)
{
	long pid = sys_call6(SYS_clone, 0, 0, 0, 0, 0, 0);

	if (pid == 0)
		try_rest(p);
	if (pid < 0)
		return false;
	sys_call4(SYS_wait4, pid, 0, 0x40000000 /* __WALL */, 0);
	return true;
}

static void note(struct probe_result *out, const struct call *c)
{
	if (c->need == NEEDED && !out->forbidden)
		out->forbidden = c->name;
	out->no_timers |= c->need == FOR_TIMERS;
	out->no_foreign_reads |= c->need == FOR_FOREIGN_READS;
	out->no_scheduling |= c->need == FOR_SCHEDULING;
}

/* Where the child died is a call that kills; the next child goes on behind it. */
static void try_all(struct progress *p, struct probe_result *out)
{
	while (p->next < ARRAY_SIZE(calls)) {
		size_t before = p->next;

		if (!run_child(p)) {
			out->forbidden = "clone";
			return;
		}
		if (p->next < ARRAY_SIZE(calls)) {
			note(out, &calls[p->next]);
			p->next = MAX(p->next, before) + 1;
		}
	}
}

void probe_filter(struct probe_result *out)
{
	long p;

	memset(out, 0, sizeof(*out));
	if (!is_filtered())
		return;
	p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (sys_failed(p)) {
		out->forbidden = "mmap";
		return;
	}
	try_all((struct progress *)p, out);
	sys_call3(SYS_munmap, p, PAGE_BYTES, 0);
}
