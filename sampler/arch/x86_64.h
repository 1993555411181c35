/* arch: registers and instructions of the processor.  May include no other room. */
/* x86-64: what arch.h asks for. */
#ifndef SAMPLER_ARCH_X86_64_H
#define SAMPLER_ARCH_X86_64_H

#include <elf.h>
#include <linux/audit.h>
#include <sys/auxv.h>

/* ---- the kernel */

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys_call3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys_call4(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline void arch_return_to_nowhere(void)
{
	__asm__ volatile("xorl %%esp, %%esp\n\tsyscall\n\tud2" : : "a"(15L) : "memory");
}

#define PAGE_BYTES	 4096UL /* there is no other base page */
#define ARCH_SA_RESTORER 0x04000000UL
#define ARCH_AUDIT	 AUDIT_ARCH_X86_64

#define ARCH_AS_VARIADIC(name) __asm__(name)

/* ---- registers */

/*
 * glibc's record of a thread begins with its control block, which has its own address at
 * these places; the thread's id is in there since version 2.4.
 */
#define ARCH_THREAD_SELF  0
#define ARCH_THREAD_SELF2 16
#define ARCH_THREAD_ID	  720

/* The control block's first word is its address.  gcc has a builtin for it since version 11. */
static inline unsigned long thread_pointer(void)
{
	unsigned long tp;

	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

/* The kernel lets programs read the base of %fs themselves, since Linux 5.9. */
#define ARCH_HWCAP2_FSGSBASE 2UL
extern bool arch_reads_fs_base __attribute__((visibility("hidden")));

static inline void arch_init(void)
{
	arch_reads_fs_base = getauxval(AT_HWCAP2) & ARCH_HWCAP2_FSGSBASE;
}

static inline unsigned long arch_bare_thread_pointer(void)
{
	unsigned long tp;

	if (__builtin_expect(!arch_reads_fs_base, 0))
		return thread_pointer();
	__asm__("rdfsbase %0" : "=r"(tp));
	return tp;
}

/* Of the thread's control block: where gcc's -fsplit-stack keeps the limit of the stack in use. */
#define ARCH_SPLIT_GUARD 0x70

/* gregs[0..16] of ucontext_t: R8..R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP, RIP. */
#define ARCH_REGS      17
#define ARCH_REG_PC    REG_RIP
#define ARCH_REG_SP    REG_RSP
#define ARCH_REG_BP    REG_RBP
#define RED_ZONE_BYTES 128

#define ARCH_FRAME_ON_REQUEST 8192UL /* the tiles of AMX */

static inline uint64_t arch_interrupted_sp(const ucontext_t *uc)
{
	return (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
}

/* The word of SP in libc's jmp_buf; it is xored with the guard of pointers and rotated. */
#define ARCH_JUMP_SP 6

static inline uint64_t arch_jump_sp(const void *env)
{
	uint64_t sp = ((const uint64_t *)env)[ARCH_JUMP_SP];

	__asm__("rorq $17, %0\n\txorq %%fs:0x30, %0" : "+r"(sp) : : "cc");
	return sp;
}

static inline void arch_copy_words(void *to, const void *from, size_t words)
{
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

static inline void arch_copy_registers(uint64_t *to, const ucontext_t *uc)
{
	arch_copy_words(to, uc->uc_mcontext.gregs, ARCH_REGS);
}

/* Bytes of the floating-point state of a signal frame; the processor's own form is 512. */
static inline size_t arch_fp_bytes(const void *fp)
{
	const struct _fpx_sw_bytes *sw = (const void *)((const char *)fp + 464);

	return sw->magic1 == FP_XSTATE_MAGIC1 ? sw->extended_size : 512;
}

/*
 * The kernel's frame: return address, ucontext, siginfo; the floating-point state
 * apart, aligned to 64.  A jump and no call, so that a shadow stack, too, has the
 * return from the handler on top.
 */
static inline __attribute__((always_inline, noreturn)) void arch_handle_on_interrupted_stack(
	int sig, const siginfo_t *info, const void *ucontext,
	void (*handle)(int sig, siginfo_t *info, void *ucontext, const void *arg), const void *arg,
	size_t arg_bytes)
{
	const ucontext_t *uc = ucontext;
	size_t frame = (size_t)((const char *)(info + 1) - (const char *)ucontext);
	size_t fp = uc->uc_mcontext.fpregs ? arch_fp_bytes(uc->uc_mcontext.fpregs) : 0;
	uint64_t arg_at = (arch_interrupted_sp(uc) - RED_ZONE_BYTES - arg_bytes) & ~15UL;
	uint64_t fp_at = (arg_at - fp) & ~63UL;
	uint64_t at = (fp_at - frame) & ~15UL;

	arch_copy_words((void *)arg_at, arg, arg_bytes / 8);
	arch_copy_words((void *)at, ucontext, frame / 8);
	if (fp) {
		arch_copy_words((void *)fp_at, uc->uc_mcontext.fpregs, (fp + 7) / 8);
		((ucontext_t *)at)->uc_mcontext.fpregs = (void *)fp_at;
	}
	((void **)at)[-1] = (void *)pprofshim_sigreturn;
	__asm__ volatile("movq %0, %%rsp\n\tjmp *%1"
			 :
			 : "r"(at - 8), "r"(handle), "D"(sig),
			   "S"(at + (uint64_t)info - (uint64_t)ucontext), "d"(at), "c"(arg_at)
			 : "memory");
	__builtin_unreachable();
}

/* ---- frames */

/* A call pushes it. */
static inline uint64_t arch_return_slot(uint64_t cfa)
{
	return cfa - 8;
}

#define ARCH_RECORD_RETURN 8
#define ARCH_RECORD_BYTES  16

/* Asking for the frame's address makes the compiler set up a record at its upper end. */
#define ARCH_CALLER_SP() ((uint64_t)__builtin_frame_address(0) + ARCH_RECORD_BYTES)
#define ARCH_CALLER_BP() (*(const uint64_t *)__builtin_frame_address(0))

/* ---- single instructions */

#define ARCH_CYCLES_25_US (1UL << 16) /* at 2.6 GHz */

static inline uint64_t arch_cycles(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void arch_spin_hint(void)
{
	__builtin_ia32_pause();
}

/*
 * A word of libc's thread record that it does not use, by its distance from the thread
 * pointer (unused_vgetcpu_cache).  .ci/early.sh reads this.
 */
#define ARCH_SPARE_TLS 64

/* In assembly, because compilers make three instructions of it and not one. */
static inline bool arch_subtract(uint64_t *from, uint64_t n)
{
	bool nothing_left;

	__asm__("subq %2, %0" : "+m"(*from), "=@ccbe"(nothing_left) : "r"(n));
	return nothing_left;
}

static inline bool arch_swap16(void *at, uint64_t *low, uint64_t *high, uint64_t to_low,
			       uint64_t to_high)
{
	bool done;

	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@cce"(done), "+m"(*(uint64_t(*)[2])at), "+a"(*low), "+d"(*high)
			 : "b"(to_low), "c"(to_high)
			 : "memory");
	return done;
}

/* ---- executables */

#define ARCH_ELF_MACHINE EM_X86_64
#define ARCH_R_RELATIVE	 R_X86_64_RELATIVE
#define ARCH_R_IRELATIVE R_X86_64_IRELATIVE
#define ARCH_R_JUMP_SLOT R_X86_64_JUMP_SLOT
#define ARCH_R_GLOB_DAT	 R_X86_64_GLOB_DAT

/* ---- machine code */

#define ARCH_CALL_BYTES	       8  /* REX, ff, modrm, sib, disp32 */
#define ARCH_EPILOGUE_BYTES    24 /* add, six pops with prefixes, return */
#define ARCH_STUB_BYTES	       16 /* those of .plt.got may have 8 only */
#define ARCH_FRAME_AHEAD_BYTES 48 /* crtbegin's take 25 */
#define ARCH_AHEAD_BYTES       16 /* the longest instruction has 15 */
#define ARCH_SIGRETURN_BYTES   9
#define ARCH_CONTEXT_END_BYTES 3
#define ARCH_SIGRETURN_LAST    7

/* The handler's return takes the address off the frame: SP is at its ucontext_t. */
#define ARCH_SIGNAL_CONTEXT  0
#define ARCH_SIGNAL_INFO     (offsetof(ucontext_t, uc_sigmask) + 8)
#define ARCH_SIGNAL_REG(reg) (offsetof(ucontext_t, uc_mcontext.gregs) + (reg) * sizeof(greg_t))
#define ARCH_SIGNAL_PC	     ARCH_SIGNAL_REG(REG_RIP)
#define ARCH_SIGNAL_SP	     ARCH_SIGNAL_REG(REG_RSP)
#define ARCH_SIGNAL_BP	     ARCH_SIGNAL_REG(REG_RBP)
/* The offsets of glibc's tcbhead_t, which gcc and all other libcs follow. */
static inline void arch_init_control_block(void *at)
{
	uint64_t *to = at;
	const uint64_t *from = (const uint64_t *)thread_pointer();

	to[0] = (uint64_t)at; /* %fs:0x00, itself */
	to[2] = (uint64_t)at; /* %fs:0x10, the thread */
	to[5] = from[5];      /* %fs:0x28, guard of stacks */
	to[6] = from[6];      /* %fs:0x30, guard of pointers */
}

#endif
