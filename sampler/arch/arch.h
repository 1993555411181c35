/* arch: registers and instructions of the processor.  May include no other room. */
/*
 * The seam for the processor: this header is the list of what a port has to write,
 * with decode.h (machine code) and unwinder.h (libunwind's numbers).  Each item is
 * defined by the header of the machine that is compiled for, or in the machine's .c
 * and .S beside it.  The hook of syscall() is in shim/arch, as it calls the shim.
 * Elsewhere no register, instruction or machine number has a name: gates look.
 *
 * Context: any role, including handler, unless an item says less.
 */
#ifndef SAMPLER_ARCH_ARCH_H
#define SAMPLER_ARCH_ARCH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

/* How the functions below are declared: machines define them inline. */
#ifdef ARCH_DECLARED_ONLY /* see aarch64.h */
#define ARCH_FUNCTION
#else
#define ARCH_FUNCTION static inline
#endif

/* ---- the kernel */

/*
 * A system call with as many arguments.  Returns the kernel's value, -errno on
 * failure; errno itself is left alone.
 */
ARCH_FUNCTION long sys_call3(long nr, long a, long b, long c);
ARCH_FUNCTION long sys_call4(long nr, long a, long b, long c, long d);
ARCH_FUNCTION long sys_call6(long nr, long a, long b, long c, long d, long e, long f);

/*
 * Where the kernel goes when a signal handler returns, as sa_restorer: it makes
 * rt_sigreturn.  Never called.
 */
void pprofshim_sigreturn(void);

/*
 * rt_sigreturn with a stack pointer that points nowhere.  Where a system-call filter
 * lets it through, the process dies of SIGSEGV, and else of another signal.
 */
ARCH_FUNCTION void arch_return_to_nowhere(void);

/*
 * PAGE_BYTES        bytes of a page; a constant, because tables are aligned to it
 * ARCH_SA_RESTORER  flag of the kernel's struct sigaction that says that sa_restorer
 *                   is set, as libc sets it; 0 where libc leaves it out
 * ARCH_AUDIT        AUDIT_ARCH_*, by which a system-call filter knows our calls
 */

/*
 * ARCH_AS_VARIADIC(name) after the declaration of a hook for a function with "...", whose
 * arguments are integers and pointers: the hook names them all, because they come in
 * the same registers.  With va_start() the compiler would first store each register
 * that may hold one, on the program's stack.
 */

/* ---- registers */

/*
 * Where this thread's control block is.  No other thread that is alive has the same;
 * glibc puts the block at the upper end of the stack that it makes for a thread.
 */
ARCH_FUNCTION unsigned long thread_pointer(void);

/*
 * The same of what a handler interrupted, without a look at memory where that is possible
 * (after arch_init()): emulators and threads made by a bare clone have other addresses
 * there, or 0, while they run code that is none of libc's.  Context: handler.
 */
ARCH_FUNCTION unsigned long arch_bare_thread_pointer(void);

/* Looks what the processor has for that.  Context: listener. */
ARCH_FUNCTION void arch_init(void);

/*
 * Writes a control block at `at`, which is zeroed, as far as compiled code reads one:
 * where it is, and what the calling thread's says about guards of stacks and pointers.
 */
ARCH_FUNCTION void arch_init_control_block(void *at);

/*
 * clone(2) of a thread that calls fn(arg) on the stack that ends at `stack` (aligned
 * to 16) and then ends, with the status that fn returns.  `tid` is where the kernel keeps the
 * thread's id while it lives, `control` its control block.  Returns the id, or -errno; the new
 * thread never returns.
 */
long pprofshim_clone(unsigned long flags, void *stack, uint32_t *tid, void *control,
		     int (*fn)(void *arg), void *arg);

/*
 * A capture holds a thread's general registers in the kernel's order.
 *
 * ARCH_SPLIT_GUARD  where the thread's control block has the limit of a stack in pieces; 0: nowhere
 * ARCH_REGS         how many these are
 * ARCH_REG_PC       which of them is the program counter,
 * ARCH_REG_SP       the stack pointer,
 * ARCH_REG_BP       and the frame pointer
 * RED_ZONE_BYTES    below SP: signal delivery keeps them, and code (or unwind tables,
 *                   of what an epilogue has popped) may point at them; 0 if it does not
 */

/* SP of the interrupted thread. */
ARCH_FUNCTION uint64_t arch_interrupted_sp(const ucontext_t *uc);

/* SP where libc's longjmp(env) leads; it keeps it scrambled.  Context: hook. */
ARCH_FUNCTION uint64_t arch_jump_sp(const void *env);

/* All registers of the interrupted thread, ARCH_REGS of them.  Without calls. */
ARCH_FUNCTION void arch_copy_registers(uint64_t *to, const ucontext_t *uc);

/* Copies words of 8 bytes, without calls: the program may have replaced memcpy(). */
ARCH_FUNCTION void arch_copy_words(void *to, const void *from, size_t words);

/*
 * For a signal handler that the kernel put on an alternate stack: goes on with
 * handle() on the stack that was interrupted, in a frame as the kernel would have
 * made it there, so that the alternate stack is free again.  `arg` is copied along
 * (words of 8 bytes).  When handle() returns, the interrupted code goes on.  The
 * caller must be the handler, or what it jumped to.  Does not return.
 * Context: handler.
 */
ARCH_FUNCTION void arch_handle_on_interrupted_stack(int sig, const siginfo_t *info,
						    const void *ucontext,
						    void (*handle)(int sig, siginfo_t *info,
								   void *ucontext, const void *arg),
						    const void *arg, size_t arg_bytes)
	__attribute__((noreturn));

/*
 * ARCH_FRAME_ON_REQUEST  bytes of a signal's frame, as AT_MINSIGSTKSZ has it, of registers that the
 *                        kernel gives only to who asks for them, and only while each alternate
 *                        stack of the process has room for them; 0: none
 */

/* ---- frames */

/*
 * Where a frame keeps its return address; the canonical frame address (CFA) is the
 * caller's SP before the call.  Unwind rows (rows.h) hold for machines where that is
 * the same in each frame.  One whose calls leave the return address in a register
 * needs a place for it in struct row too.
 */
ARCH_FUNCTION uint64_t arch_return_slot(uint64_t cfa);

/*
 * A frame record, which code without unwind tables may still make: the frame pointer
 * points at the caller's frame pointer, and the return address comes after that.
 *
 * ARCH_RECORD_RETURN  offset of the return address from the frame pointer
 * ARCH_RECORD_BYTES   what lies beyond is the caller's
 */

/*
 * The caller of the function that says this, as it is after the return; macros,
 * because they are about that function.  Context: hook.
 *
 * ARCH_CALLER_SP()    its SP
 * ARCH_CALLER_BP()    its frame pointer register, whether it is used as one or not
 */

/* ---- single instructions */

/*
 * The processor's clock: read without a system call, in any thread the same.
 * ARCH_CYCLES_25_US    what it advances in 25 us, within a factor of two
 */
ARCH_FUNCTION uint64_t arch_cycles(void);

/* For a loop that waits for another thread: lets the other half of the core work. */
ARCH_FUNCTION void arch_spin_hint(void);

/*
 * ARCH_SPARE_TLS: a word of libc's thread record that nobody uses, by its distance from the
 * thread pointer.  Before we are relocated our thread-local variables are there
 * (.ci/early.sh).
 *
 * Subtracts in memory; true when nothing is left, or less than that (unsigned).  A
 * signal handler of the same thread sees it done or not done.
 */
ARCH_FUNCTION bool arch_subtract(uint64_t *from, uint64_t n);

/*
 * Compares 16 bytes with *low and *high and, if they are that, replaces them, as one
 * atomic step that is both acquire and release.  Else *low and *high are what was
 * there.  `at` is aligned to 16.
 */
ARCH_FUNCTION bool arch_swap16(void *at, uint64_t *low, uint64_t *high, uint64_t to_low,
			       uint64_t to_high);

/* ---- executables
 *
 * ARCH_ELF_MACHINE    EM_*
 * ARCH_R_RELATIVE     type of a relocation that adds where the object lies, no symbol
 * ARCH_R_IRELATIVE    and of one that calls a function which chooses (IFUNC)
 * ARCH_R_JUMP_SLOT    of one that writes where a symbol is, for calls,
 * ARCH_R_GLOB_DAT     and for code that takes its address
 */

#if defined(__x86_64__)
#include "sampler/arch/x86_64.h"
#elif defined(__aarch64__) && defined(ARCH_DECLARED_ONLY)
#include "sampler/arch/aarch64.h"
#else
#error "pprofshim is not written for this processor: arch.h says what a port needs"
#endif

#if !defined(PAGE_BYTES) || !defined(ARCH_SA_RESTORER) || !defined(ARCH_AUDIT) ||                  \
	!defined(ARCH_REGS) || !defined(ARCH_REG_PC) || !defined(ARCH_REG_SP) ||                   \
	!defined(ARCH_REG_BP) || !defined(RED_ZONE_BYTES) || !defined(ARCH_RECORD_RETURN) ||       \
	!defined(ARCH_FRAME_ON_REQUEST) || !defined(ARCH_RECORD_BYTES) ||                          \
	!defined(ARCH_CALLER_SP) || !defined(ARCH_CALLER_BP) || !defined(ARCH_CYCLES_25_US) ||     \
	!defined(ARCH_ELF_MACHINE) || !defined(ARCH_R_RELATIVE) || !defined(ARCH_R_IRELATIVE) ||   \
	!defined(ARCH_R_JUMP_SLOT) || !defined(ARCH_R_GLOB_DAT)
#error "this processor's header lacks a constant that arch.h asks for"
#endif

#endif
