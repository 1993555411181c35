/* arch: registers and instructions of the processor.  May include no other room. */
/*
 * aarch64: there is no port yet.  The constants that arch.h asks for are here, its
 * functions are declared and written nowhere, so nothing can be built with this
 * header.  It exists for a gate (.ci/arch.sh) that compiles every file outside arch/
 * for aarch64 with -fsyntax-only: what knows the processor elsewhere does not pass.
 */
#ifndef SAMPLER_ARCH_AARCH64_H
#define SAMPLER_ARCH_AARCH64_H

#include <elf.h>
#include <linux/audit.h>

#define PAGE_BYTES	 4096UL /* to be solved: kernels with 16 and 64 KiB exist */
#define ARCH_SA_RESTORER 0UL	/* the vdso has the return from a handler */
#define ARCH_AUDIT	 AUDIT_ARCH_AARCH64

#define ARCH_AS_VARIADIC(name) __asm__(name)

/* regs[0..30] of ucontext_t, then sp and pc.  The frame pointer is x29. */
#define ARCH_SPLIT_GUARD 0 /* gcc has no split stacks there */

#define ARCH_REGS      33
#define ARCH_REG_BP    29
#define ARCH_REG_SP    31
#define ARCH_REG_PC    32
#define RED_ZONE_BYTES 0

#define ARCH_FRAME_ON_REQUEST 0UL

/* To be solved: the record lies at the lower end of its frame, which has no fixed size. */
#define ARCH_RECORD_RETURN 8
#define ARCH_RECORD_BYTES  16

uint64_t arch_caller_sp(void);
uint64_t arch_caller_bp(void);
#define ARCH_CALLER_SP() arch_caller_sp()
#define ARCH_CALLER_BP() arch_caller_bp()

/* To be solved: the record lies below the control block and does not have its own address. */
#define ARCH_THREAD_SELF  0
#define ARCH_THREAD_SELF2 0
#define ARCH_THREAD_ID	  0

/* To be solved: offsets from the thread pointer are relocated in another way. */
#define ARCH_SPARE_TLS 0

/* To be solved: the clock's rate is in a register. */
#define ARCH_CYCLES_25_US (1UL << 10)

#define ARCH_ELF_MACHINE EM_AARCH64
#define ARCH_R_RELATIVE	 R_AARCH64_RELATIVE
#define ARCH_R_IRELATIVE R_AARCH64_IRELATIVE
#define ARCH_R_JUMP_SLOT R_AARCH64_JUMP_SLOT
#define ARCH_R_GLOB_DAT	 R_AARCH64_GLOB_DAT

#define ARCH_CALL_BYTES	       4
#define ARCH_EPILOGUE_BYTES    24
#define ARCH_STUB_BYTES	       24
#define ARCH_FRAME_AHEAD_BYTES 48
#define ARCH_AHEAD_BYTES       4
#define ARCH_SIGRETURN_BYTES   8
#define ARCH_CONTEXT_END_BYTES 3
#define ARCH_SIGRETURN_LAST    4

/* SP is at the siginfo_t (128 bytes), behind which is the ucontext_t. */
#define ARCH_SIGNAL_CONTEXT 128
#define ARCH_SIGNAL_INFO    0
#define ARCH_SIGNAL_PC	    (128 + offsetof(ucontext_t, uc_mcontext.pc))
#define ARCH_SIGNAL_SP	    (128 + offsetof(ucontext_t, uc_mcontext.sp))
#define ARCH_SIGNAL_BP	    (128 + offsetof(ucontext_t, uc_mcontext.regs) + 29 * sizeof(uint64_t))

#endif
