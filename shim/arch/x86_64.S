/*
 * long syscall(long number, ...), the C library's door to any system call: it
 * may return twice or on another stack, so nothing of ours may stay behind.
 * A look at a table, then a jump with every register as it came.  Two kinds of call
 * are jumped to a function of ours that makes them: those by which a thread ends or
 * confines itself (confinement.c; libcap comes this way), and futexes while waits are
 * recorded (futex.c).  As far as the caller can see, the same.
 */
#include "shim/hooks/stub.h"

#define SYS_FUTEX	202
#define SYS_FUTEX_WAITV 449
#define SYS_PRCTL	157
#define SYS_SECCOMP	317

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
	.hidden pprofshim_taken_syscall
	.hidden pprofshim_taken_syscalls
	.globl syscall
	.type syscall, @function
syscall:
	.cfi_startproc
	endbr64
	cmpq $SYS_FUTEX, %rdi
	je 2f
	cmpq $SYS_FUTEX_WAITV, %rdi
	je 2f
	cmpq $TAKEN_SYSCALLS, %rdi
	jae 1f
	leaq pprofshim_taken_syscalls(%rip), %r11
	cmpb $0, (%r11, %rdi)
	jne pprofshim_taken_syscall
1:	jmpq *next_syscall(%rip)
2:	cmpl $0, locks_on(%rip)
	jne pprofshim_futex
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

/*
 * A word before, then a jump to the real function, which the word returns, with every register as
 * it came: \number tells which function it is, in \register.
 */
.macro STUB name, door, number, register
	.globl \name
	.type \name, @function
\name:
	.cfi_startproc
	endbr64
	SAVE
	movl $\number, %\register
	call \door
	movq %rax, %r11
	RESTORE
	jmpq *%r11
	.cfi_endproc
	.size \name, . - \name
.endm

/* The functions that execute another program, some of them with any number of arguments (exec.c). */
	.hidden pprofshim_before_exec
.macro EXEC name, number
	STUB \name, pprofshim_before_exec, \number, esi
.endm

	EXEC execve, EXEC_EXECVE
	EXEC execv, EXEC_EXECV
	EXEC execvp, EXEC_EXECVP
	EXEC execvpe, EXEC_EXECVPE
	EXEC execl, EXEC_EXECL
	EXEC execlp, EXEC_EXECLP
	EXEC execle, EXEC_EXECLE
	EXEC fexecve, EXEC_FEXECVE
	EXEC execveat, EXEC_EXECVEAT

/*
 * The loader's functions, and those that install filters, in a program that we were attached to:
 * under names of our own, since only slots lead here (late_hooks.c).
 */
	.hidden pprofshim_before_loader
.macro LOADER name, number
	.hidden \name
	STUB \name, pprofshim_before_loader, \number, edi
.endm

	.hidden pprofshim_before_filter
	.hidden late_prctl
	.globl late_prctl
	.type late_prctl, @function
late_prctl:
	.cfi_startproc
	endbr64
	SAVE
	movq %rdx, %rcx
	movq %rsi, %rdx
	movq %rdi, %rsi
	movl $SYS_PRCTL, %edi
	call pprofshim_before_filter
	movq %rax, %r11
	RESTORE
	jmpq *%r11
	.cfi_endproc
	.size late_prctl, . - late_prctl

	.hidden late_syscall
	.globl late_syscall
	.type late_syscall, @function
late_syscall:
	.cfi_startproc
	endbr64
	cmpq $SYS_PRCTL, %rdi
	je 1f
	cmpq $SYS_SECCOMP, %rdi
	je 1f
	cmpq $SYS_FUTEX, %rdi
	je 2f
	cmpq $SYS_FUTEX_WAITV, %rdi
	je 2f
	jmpq *next_syscall(%rip)
2:	cmpl $0, locks_on(%rip)
	jne pprofshim_futex
	jmpq *next_syscall(%rip)
1:	SAVE
	call pprofshim_before_filter
	RESTORE
	jmpq *next_syscall(%rip)
	.cfi_endproc
	.size late_syscall, . - late_syscall

	LOADER late_dlopen, LOADER_DLOPEN
	LOADER late_dlsym, LOADER_DLSYM
	LOADER late_dlvsym, LOADER_DLVSYM

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
