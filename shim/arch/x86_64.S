/*
 * long syscall(long number, ...), the C library's door to any system call: it
 * may return twice or on another stack, so nothing of ours may stay behind.
 * A few comparisons, then a jump with every register as it came.  Only seccomp,
 * exit and what changes one thread's privileges (libcap comes this way) are
 * announced first; the hook then jumps all the same.  And the futex
 * operations that wait, and do nothing else, are jumped to a function of ours that
 * makes the call: as far as the caller can see, the same.
 */
#define SYS_EXIT    60
#define SYS_CAPSET  126
#define SYS_PRCTL   157
#define SYS_FUTEX   202
#define SYS_UNSHARE 272
#define SYS_SETNS   308
#define SYS_SECCOMP 317

#define FUTEX_LOCK_PI	  6
#define FUTEX_WAIT_BITSET 9
#define FUTEX_CMD_MASK	  0x7f /* in the low byte; the flags are above */

#define LOCKS_BLOCK 1 /* locks.h */

	.text

/* Pushes what a call may destroy, and eax; the stack stays aligned to 16. */
.macro SAVE
	pushq %rax
	.cfi_adjust_cfa_offset 8
	pushq %rdi
	.cfi_adjust_cfa_offset 8
	pushq %rsi
	.cfi_adjust_cfa_offset 8
	pushq %rdx
	.cfi_adjust_cfa_offset 8
	pushq %rcx
	.cfi_adjust_cfa_offset 8
	pushq %r8
	.cfi_adjust_cfa_offset 8
	pushq %r9
	.cfi_adjust_cfa_offset 8
.endm

.macro RESTORE
	popq %r9
	.cfi_adjust_cfa_offset -8
	popq %r8
	.cfi_adjust_cfa_offset -8
	popq %rcx
	.cfi_adjust_cfa_offset -8
	popq %rdx
	.cfi_adjust_cfa_offset -8
	popq %rsi
	.cfi_adjust_cfa_offset -8
	popq %rdi
	.cfi_adjust_cfa_offset -8
	popq %rax
	.cfi_adjust_cfa_offset -8
.endm

	.hidden pprofshim_futex
	.hidden locks_on
	.globl syscall
	.type syscall, @function
syscall:
	.cfi_startproc
	endbr64
	cmpq $SYS_FUTEX, %rdi
	je 2f
	cmpq $SYS_SECCOMP, %rdi
	je 1f
	cmpq $SYS_EXIT, %rdi
	je 3f
	cmpq $SYS_CAPSET, %rdi
	je 5f
	cmpq $SYS_PRCTL, %rdi
	je 5f
	cmpq $SYS_UNSHARE, %rdi
	je 5f
	cmpq $SYS_SETNS, %rdi
	je 5f
	jmpq *next_syscall(%rip)
1:	SAVE
	movl %esi, %edi
	movl %edx, %esi
	movq %rcx, %rdx
	call pprofshim_before_seccomp
	RESTORE
	jmpq *next_syscall(%rip)
2:	testb $LOCKS_BLOCK, locks_on(%rip)
	je 4f
	movl %edx, %r11d
	andl $FUTEX_CMD_MASK, %r11d
	je pprofshim_futex /* FUTEX_WAIT */
	cmpl $FUTEX_WAIT_BITSET, %r11d
	je pprofshim_futex
	cmpl $FUTEX_LOCK_PI, %r11d
	je pprofshim_futex
4:	jmpq *next_syscall(%rip)
3:	SAVE
	call pprofshim_before_exit
	RESTORE
	jmpq *next_syscall(%rip)
5:	SAVE
	call pprofshim_before_confinement
	RESTORE
	jmpq *next_syscall(%rip)
	.cfi_endproc
	.size syscall, . - syscall

/* The first call of all: finds the next syscall(), then makes it. */
	.type first_syscall, @function
first_syscall:
	.cfi_startproc
	endbr64
	SAVE
	call real_syscall
	movq %rax, next_syscall(%rip)
	RESTORE
	jmpq *next_syscall(%rip)
	.cfi_endproc
	.size first_syscall, . - first_syscall

	.data
	.align 8
next_syscall:
	.quad first_syscall

	.section .note.GNU-stack, "", @progbits
	.section .note.gnu.property, "a"
	.align 8
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000002, 4, 3, 0 /* x86 feature: IBT and SHSTK */
