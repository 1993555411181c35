#include "shim/life/calls.h"

#include <sys/syscall.h>

#include "sampler/base/cc.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_rseq
#define SYS_rseq 334
#endif

#define CALL(name, need)                                                                           \
	{                                                                                          \
#name, SYS_##name, need                                                            \
	}

const struct own_call own_calls[] = {
	/* in this order: the probe waits for its child, lets SIGSYS kill, says a sentence */
	CALL(wait4, MUST_WORK),
	CALL(rt_sigaction, NEEDED),
	CALL(write, NEEDED),
	CALL(exit, NEEDED),
	CALL(getpid, NEEDED),
	CALL(gettid, NEEDED),
	CALL(getppid, NEEDED),
	CALL(getsid, NEEDED),
	CALL(getgroups, NEEDED),
	CALL(getuid, NEEDED),
	CALL(geteuid, NEEDED),
	CALL(waitid, NEEDED),
	CALL(fcntl, NEEDED),
	CALL(tgkill, NEEDED),
	CALL(kill, NEEDED),
	CALL(sched_yield, NEEDED),
	CALL(clock_gettime, NEEDED),
	CALL(clock_nanosleep, NEEDED),
	CALL(openat, NEEDED),
	CALL(read, NEEDED),
	CALL(pread64, NEEDED),
	CALL(close, NEEDED),
	CALL(close_range, NEEDED),
	CALL(unshare, NEEDED),
	CALL(getdents64, NEEDED),
	CALL(newfstatat, NEEDED),
	CALL(fstat, NEEDED),
	CALL(readlinkat, NEEDED),
	CALL(mmap, NEEDED),
	CALL(munmap, NEEDED),
	CALL(madvise, NEEDED),
	CALL(mprotect, NEEDED),
	CALL(munlock, NEEDED),
	CALL(mlock2, NEEDED),
	CALL(prlimit64, NEEDED),
	CALL(futex, NEEDED),
	CALL(ppoll, NEEDED),
	CALL(socket, NEEDED),
	CALL(setsockopt, NEEDED),
	CALL(getsockopt, NEEDED),
	CALL(connect, NEEDED),
	CALL(bind, NEEDED),
	CALL(listen, NEEDED),
	CALL(accept4, NEEDED),
	CALL(recvfrom, NEEDED),
	CALL(sendto, NEEDED),
	CALL(sendmsg, NEEDED),
	CALL(shutdown, NEEDED),
	CALL(signalfd4, NEEDED),
	CALL(rt_sigprocmask, MUST_WORK),
	CALL(rt_sigtimedwait, NEEDED),
	CALL(rt_tgsigqueueinfo, NEEDED),
	CALL(sigaltstack, NEEDED),
	CALL(set_robust_list, NEEDED),
	CALL(rseq, NEEDED),
	CALL(getrandom, AT_START), /* the first malloc of all makes it */
	CALL(memfd_create, AT_START),
	CALL(ftruncate, AT_START),
	CALL(clone3, NEEDED),
	CALL(clone, INSTEAD_OF_CLONE3),
	CALL(rt_sigreturn, FOR_TIMERS),
	CALL(timer_create, FOR_TIMERS),
	CALL(timer_settime, FOR_TIMERS),
	CALL(timer_delete, FOR_TIMERS),
	CALL(clock_getres, FOR_TIMERS),
	CALL(process_vm_readv, FOR_FOREIGN_READS),
	CALL(process_vm_writev, FOR_FOREIGN_READS),
	CALL(sched_setscheduler, FOR_NICETIES),
	CALL(prctl, FOR_NICETIES),
	CALL(flock, FOR_FILES),
	CALL(fchmod, FOR_FILES),
	CALL(unlinkat, FOR_FILES),
	CALL(renameat2, FOR_FILES),
	CALL(faccessat, FOR_FILES),
	CALL(getcwd, FOR_FILES),
};

const size_t own_call_count = ARRAY_SIZE(own_calls);

static bool makes_files;

void calls_expect_files(void)
{
	makes_files = true;
}

bool call_is_expected(const struct own_call *c)
{
	return c->need != AT_START && (c->need != FOR_FILES || makes_files);
}
