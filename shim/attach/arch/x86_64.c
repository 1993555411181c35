#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "sampler/base/cc.h"
#include "shim/attach/arch/registers.h"

const uint16_t registers_machine = EM_X86_64;
const int registers_extended_set = NT_X86_XSTATE;

_Static_assert(sizeof(struct user_regs_struct) <= sizeof(struct registers), "room for all");

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

bool registers_waits_for_event(long number)
{
	static const int calls[] = {
		SYS_read,	 SYS_readv,	    SYS_recvfrom,	 SYS_recvmsg,
		SYS_recvmmsg,	 SYS_accept,	    SYS_accept4,	 SYS_poll,
		SYS_ppoll,	 SYS_select,	    SYS_pselect6,	 SYS_epoll_wait,
		SYS_epoll_pwait, SYS_epoll_pwait2,  SYS_wait4,		 SYS_waitid,
		SYS_pause,	 SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_io_getevents,
		SYS_msgrcv,
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (number == calls[i])
			return true;
	}
	return false;
}

bool registers_timeout_begins_anew(long number, const uint64_t arg[6])
{
	switch (number) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int32_t)arg[3] > 0;
	case SYS_epoll_pwait2:
		return arg[3] != 0;
	case SYS_rt_sigtimedwait:
		return arg[2] != 0;
	case SYS_recvmmsg:
	case SYS_io_getevents:
		return arg[4] != 0;
	default:
		return false;
	}
}

bool registers_are_guarded(const char *status)
{
	const char *features = strstr(status, "\nx86_Thread_features:");
	const char *end = features ? strchr(features + 1, '\n') : NULL;

	return end && memmem(features, (size_t)(end - features), "shstk", 5);
}

static struct user_regs_struct *user(struct registers *r)
{
	return (struct user_regs_struct *)r->word;
}

static const struct user_regs_struct *user_of(const struct registers *r)
{
	return (const struct user_regs_struct *)r->word;
}

bool registers_get(int tid, struct registers *r)
{
	return ptrace(PTRACE_GETREGS, tid, 0, r->word) == 0;
}

bool registers_set(int tid, const struct registers *r)
{
	return ptrace(PTRACE_SETREGS, tid, 0, r->word) == 0;
}

uint64_t registers_pc(const struct registers *r)
{
	return user_of(r)->rip;
}

uint64_t registers_sp(const struct registers *r)
{
	return user_of(r)->rsp;
}

long registers_result(const struct registers *r)
{
	return (long)user_of(r)->rax;
}

long registers_call_number(const struct registers *r)
{
	return (long)user_of(r)->orig_rax;
}

/* No system call is under way: what the kernel would do about an interrupted one is left out. */
void registers_call(struct registers *r, uint64_t function, uint64_t sp, uint64_t first,
		    uint64_t second)
{
	struct user_regs_struct *u = user(r);

	u->rip = function;
	u->rsp = sp;
	u->rbp = 0;
	u->rdi = first;
	u->rsi = second;
	u->rax = 0;
	u->orig_rax = (unsigned long long)-1;
	u->eflags &= ~0x400ULL; /* the direction flag, as the ABI wants it */
}

void registers_system_call(struct registers *r, uint64_t at, long number, const uint64_t arg[6])
{
	struct user_regs_struct *u = user(r);

	u->rip = (at ? at : u->rip) - SYSTEM_CALL_BYTES;
	u->rax = (unsigned long long)number;
	u->rdi = arg[0];
	u->rsi = arg[1];
	u->rdx = arg[2];
	u->r10 = arg[3];
	u->r8 = arg[4];
	u->r9 = arg[5];
	u->orig_rax = (unsigned long long)-1;
}

/* As the kernel says it to itself, in include/linux/errno.h. */
#define ERESTARTNOHAND 514

void registers_restart(struct registers *r)
{
	user(r)->rax = (unsigned long long)-ERESTARTNOHAND;
}

bool code_is_system_call(const uint8_t code[SYSTEM_CALL_BYTES])
{
	return code[0] == 0x0f && code[1] == 0x05;
}

/* mov $SYS_rt_sigreturn, %rax; syscall: debuggers know the function by this, too. */
bool code_is_signal_return(const uint8_t code[SIGNAL_RETURN_BYTES])
{
	static const uint8_t wanted[] = { 0x48, 0xc7, 0xc0, SYS_rt_sigreturn, 0, 0, 0, 0x0f, 0x05 };

	return memcmp(code, wanted, sizeof(wanted)) == 0;
}

/* Words of struct rt_sigframe: the return address, ucontext with its registers. */
#define FRAME_FLAGS    1
#define FRAME_LINK     2
#define FRAME_PC       22
#define FRAME_SEGMENTS 24
#define USER_CODE      0x33

bool frame_is_of_handler(const uint64_t word[HANDLER_FRAME_WORDS], uint64_t *pc)
{
	*pc = word[FRAME_PC];
	return word[FRAME_FLAGS] < 8 && word[FRAME_LINK] == 0 &&
	       (word[FRAME_SEGMENTS] & 0xffff) == USER_CODE;
}
