#include "shim/attach/stopped.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/status.h"
#include "sampler/base/sys.h"
#include "shim/attach/proc.h"
#include "shim/attach/refuse.h"
#include "shim/attach/restartable.h"

#define STOP_WAIT_NS	NS_PER_SECOND
#define WATCHDOG_NS	(2 * NS_PER_SECOND)
#define SCRATCH_BYTES	(512UL << 10)
#define SYSTEM_CALL_BIT 0x80 /* of the signal in a stop at a system call */

/* Faults: where one is blocked, the kernel would take the program's handler away. */
#define MASK_OF_CALLS                                                                              \
	(~(1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1) | 1ULL << (SIGILL - 1) |                   \
	   1ULL << (SIGFPE - 1) | 1ULL << (SIGTRAP - 1)))

/* ---- stops */

/* Waits, until `until_ns` at most, for the thread to stop or end.  False: it did neither. */
static bool wait_for_stop(int tid, int64_t until_ns, int *status)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		int64_t left = until_ns - sys_now_ns();
		struct timespec ts = { left / NS_PER_SECOND, left % NS_PER_SECOND };
		pid_t found = waitpid(tid, status, __WALL | WNOHANG);

		if (found == tid || (found < 0 && errno == ECHILD))
			return found == tid || (*status = 0, true);
		if (left <= 0)
			return false;
		sigtimedwait(&child, NULL, &ts);
	}
}

static bool go_on(const struct stopped *s, int how, int signal)
{
	return ptrace(how, s->tid, 0, signal) == 0;
}

/* ---- begin and end */

static bool get_extended(struct stopped *s)
{
	struct iovec io = { s->extended, sizeof(s->extended) };

	if (ptrace(PTRACE_GETREGSET, s->tid, registers_extended_set, &io) != 0)
		return false;
	s->extended_bytes = io.iov_len;
	return io.iov_len < sizeof(s->extended);
}

static bool set_extended(struct stopped *s)
{
	struct iovec io = { s->extended, s->extended_bytes };

	return ptrace(PTRACE_SETREGSET, s->tid, registers_extended_set, &io) == 0;
}

static bool get_mask(struct stopped *s)
{
	return ptrace(PTRACE_GETSIGMASK, s->tid, sizeof(s->mask), &s->mask) == 0;
}

static bool set_mask(const struct stopped *s, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, s->tid, sizeof(mask), &mask) == 0;
}

/* One that is to be delivered now has interrupted the call, too: that is between the two. */
static bool has_signal_on_its_way(const struct stopped *s)
{
	char status[8192];

	if (proc_read_task(s->pid, s->tid, "status", status, sizeof(status)) <= 0)
		return true;
	return (status_number(status, "SigPnd", 16) | status_number(status, "ShdPnd", 16)) &
	       ~status_number(status, "SigBlk", 16) & ~status_number(status, "SigIgn", 16);
}

static bool is_where_it_was(const struct stopped *s, const struct waiting *w)
{
	return registers_call_number(&s->regs) == w->number && registers_pc(&s->regs) == w->pc &&
	       registers_sp(&s->regs) == w->sp;
}

/* `w`: where it is to be, NULL: anywhere. */
static bool take(struct stopped *s, const struct waiting *w)
{
	return registers_get(s->tid, &s->regs) && (!w || is_where_it_was(s, w)) &&
	       !restartable_has(s->pid, s->tid, &s->regs) && get_extended(s) &&
	       !has_signal_on_its_way(s) && get_mask(s) && set_mask(s, MASK_OF_CALLS);
}

static enum stopped_result stop(struct stopped *s, const struct waiting *w)
{
	int status;

	if (ptrace(PTRACE_SEIZE, s->tid, 0, PTRACE_O_TRACESYSGOOD) != 0)
		return errno == ESRCH ? STOPPED_AGAIN : STOPPED_REFUSED;
	s->since_ns = sys_now_ns();
	ptrace(PTRACE_INTERRUPT, s->tid, 0, 0);
	if (!wait_for_stop(s->tid, s->since_ns + STOP_WAIT_NS, &status) || !WIFSTOPPED(status)) {
		ptrace(PTRACE_DETACH, s->tid, 0, 0);
		return STOPPED_AGAIN;
	}
	if (status >> 16 == PTRACE_EVENT_STOP && take(s, w))
		return STOPPED_OK;
	ptrace(PTRACE_DETACH, s->tid, 0, status >> 16 ? 0 : WSTOPSIG(status));
	return STOPPED_AGAIN;
}

enum stopped_result stopped_begin(struct stopped *s, const struct image *libc,
				  const struct waiting *w)
{
	*s = (struct stopped){ .pid = libc->pid, .tid = w->tid, .libc = libc };
	return stop(s, w);
}

enum stopped_result stopped_begin_anywhere(struct stopped *s, int pid, int tid, uint64_t call_at)
{
	*s = (struct stopped){ .pid = pid, .tid = tid, .call_at = call_at };
	return stop(s, NULL);
}

/*
 * Most interrupted calls are made again by the kernel, when no handler is to run.  Some
 * just end with EINTR (epoll_wait, sigtimedwait, those with a timeout of the socket): to the
 * kernel they are then one of the others, which end with EINTR if a signal of the program's
 * came meanwhile, as they would have.
 */
static void restart_call(struct stopped *s)
{
	if (registers_call_number(&s->regs) >= 0 && registers_result(&s->regs) == -EINTR)
		registers_restart(&s->regs);
}

/* The wake-up that goes with the end of tracing has the kernel look for calls to be restarted. */
void stopped_end(struct stopped *s)
{
	if (s->errno_at)
		memory_write(s->pid, s->errno_at, &s->errno_before, sizeof(s->errno_before));
	stopped_drop_scratch(s);
	restart_call(s);
	set_extended(s);
	registers_set(s->tid, &s->regs);
	set_mask(s, s->mask);
	ptrace(PTRACE_DETACH, s->tid, 0, 0);
	if (s->late_signal)
		syscall(SYS_tgkill, s->pid, s->tid, s->late_signal);
}

/* ---- system calls */

/* From stop to stop, at the entry and at the exit; what else comes is for the program. */
static bool step(struct stopped *s)
{
	int status;

	do {
		if (!go_on(s, PTRACE_SYSCALL, 0) ||
		    !wait_for_stop(s->tid, sys_now_ns() + WATCHDOG_NS, &status) ||
		    !WIFSTOPPED(status))
			return false;
	} while (WSTOPSIG(status) != (SIGTRAP | SYSTEM_CALL_BIT));
	return true;
}

long stopped_system_call(struct stopped *s, long number, const uint64_t arg[6])
{
	struct registers r = s->regs;

	registers_system_call(&r, s->call_at, number, arg);
	if (!registers_set(s->tid, &r) || !step(s) || !step(s) || !registers_get(s->tid, &r))
		return -ESRCH;
	return registers_result(&r);
}

bool stopped_get_scratch(struct stopped *s)
{
	const uint64_t arg[6] = { 0,
				  SCRATCH_BYTES,
				  PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				  (uint64_t)-1,
				  0 };
	long at = stopped_system_call(s, SYS_mmap, arg);

	s->scratch = sys_failed(at) ? 0 : (uint64_t)at;
	return s->scratch != 0;
}

void stopped_drop_scratch(struct stopped *s)
{
	const uint64_t arg[6] = { s->scratch, SCRATCH_BYTES };

	if (s->scratch)
		stopped_system_call(s, SYS_munmap, arg);
	s->scratch = 0;
}

/*
 *  scratch                                              + SCRATCH_BYTES
 *  | stack, grows down from here <-| return address | argument |
 */
uint64_t stopped_put(struct stopped *s, const void *bytes, size_t len)
{
	uint64_t at = s->scratch + SCRATCH_BYTES - SCRATCH_ARGUMENT_BYTES;

	return len <= SCRATCH_ARGUMENT_BYTES && memory_write(s->pid, at, bytes, len) ? at : 0;
}

/* ---- calls */

/*
 * Returns to libc's ELF header, which is not executable: the fault there tells that the call
 * is over, and the loader takes libc for the caller.
 */
static bool begin_call(struct stopped *s, uint64_t function, uint64_t first, uint64_t second)
{
	uint64_t sp = s->scratch + SCRATCH_BYTES - SCRATCH_ARGUMENT_BYTES - 256;
	struct registers r = s->regs;

	sp = ALIGN_DOWN(sp, 64UL) - sizeof(uint64_t);
	registers_call(&r, function, sp, first, second);
	return memory_write(s->pid, sp, &s->libc->start, sizeof(s->libc->start)) &&
	       registers_set(s->tid, &r) && go_on(s, PTRACE_CONT, 0);
}

static bool is_back(const struct stopped *s, int status, struct registers *r)
{
	return WSTOPSIG(status) == SIGSEGV && registers_get(s->tid, r) &&
	       registers_pc(r) == s->libc->start;
}

static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
	       signal == SIGTRAP;
}

/* Sent by somebody, and no fault: it is for the program, later. */
static bool was_sent(const struct stopped *s)
{
	siginfo_t info;

	return ptrace(PTRACE_GETSIGINFO, s->tid, 0, &info) == 0 && info.si_code <= 0;
}

/* False: the call crashed.  Stops of the whole process pass by: it stops when we are done. */
static bool pass_stop(struct stopped *s, int status)
{
	int signal = status >> 16 ? 0 : WSTOPSIG(status);

	if (!is_fault(signal)) {
		go_on(s, PTRACE_CONT, signal);
		return true;
	}
	if (!was_sent(s))
		return false;
	s->late_signal = signal;
	go_on(s, PTRACE_CONT, 0);
	return true;
}

/* ---- the watchdog */

/* glibc's mutex, as the loader has them: recursive ones. */
struct libc_mutex {
	int32_t lock;
	uint32_t count;
	int32_t owner;
	uint32_t users;
	int32_t kind;
};

#define LOADER_DATA_BYTES 8192
#define KIND_RECURSIVE	  1

/* What it would take with it for ever, if it were taken back now. */
static bool holds_loader(const struct stopped *s)
{
	uint8_t data[LOADER_DATA_BYTES];
	struct libc_mutex m;
	struct image loader;
	uint64_t size = 0, at;
	int tid = proc_inner_number(s->pid, s->tid);

	if (!image_find_loaded(&loader, s->pid, "ld-linux") ||
	    !(at = image_find(&loader, "_rtld_global", &size)))
		return true;
	size = MIN(size, sizeof(data));
	if (!memory_read(s->pid, at, data, size))
		return true;
	for (size_t i = 0; i + sizeof(m) <= size; i += 8) {
		memcpy(&m, data + i, sizeof(m));
		if (m.owner == tid && m.lock && m.count && m.kind == KIND_RECURSIVE)
			return true;
	}
	return false;
}

/* Stops it wherever it is.  False: it is about to return, or holds what others need. */
static bool may_take_back(struct stopped *s, int *status)
{
	ptrace(PTRACE_INTERRUPT, s->tid, 0, 0);
	if (!wait_for_stop(s->tid, sys_now_ns() + STOP_WAIT_NS, status) || !WIFSTOPPED(*status))
		return false;
	if (status[0] >> 16 != PTRACE_EVENT_STOP)
		return false;
	if (!holds_loader(s))
		return true;
	note("the loader of process %d is busy (a library that is being loaded waits for "
	     "something?); "
	     "what was begun goes on when it is done",
	     s->pid);
	go_on(s, PTRACE_CONT, 0);
	*status = 0;
	return false;
}

enum call_result stopped_call(struct stopped *s, uint64_t function, uint64_t first, uint64_t second,
			      uint64_t *result)
{
	int64_t until_ns = sys_now_ns() + WATCHDOG_NS;
	struct registers r;
	int status = 0;

	if (!begin_call(s, function, first, second))
		return CALL_ENDED;
	for (;;) {
		if (!wait_for_stop(s->tid, until_ns, &status)) {
			if (may_take_back(s, &status))
				return CALL_TAKEN_BACK;
			until_ns = sys_now_ns() + 30 * WATCHDOG_NS;
			if (!status)
				continue;
		}
		if (!WIFSTOPPED(status))
			return CALL_ENDED;
		if (is_back(s, status, &r))
			break;
		if (!pass_stop(s, status))
			return CALL_CRASHED;
	}
	*result = (uint64_t)registers_result(&r);
	return CALL_DONE;
}

enum call_result stopped_keep_errno(struct stopped *s)
{
	uint64_t function = image_find(s->libc, "__errno_location", NULL), at = 0;
	enum call_result result = function ? stopped_call(s, function, 0, 0, &at) : CALL_CRASHED;

	if (result == CALL_DONE &&
	    memory_read(s->pid, at, &s->errno_before, sizeof(s->errno_before)))
		s->errno_at = at;
	return result;
}
