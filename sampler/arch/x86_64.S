/* What arch.h asks for and C cannot say. */

/*
 * The return from our signal handler.  The kernel on x86-64 has no default for
 * it; the address goes into sa_restorer.  No CFI: debuggers and unwinders know
 * a signal frame by exactly these two instructions.
 */
	.text
	.globl pprofshim_sigreturn
	.hidden pprofshim_sigreturn
	.type pprofshim_sigreturn, @function
pprofshim_sigreturn:
	movq $15, %rax /* __NR_rt_sigreturn */
	syscall
	.size pprofshim_sigreturn, . - pprofshim_sigreturn

/*
 * long pprofshim_clone(flags, stack, tid, control, fn, arg): see arch.h.  The new
 * thread finds fn and arg on its stack.
 */
#define SYS_CLONE 56
#define SYS_EXIT  60

	.globl pprofshim_clone
	.hidden pprofshim_clone
	.type pprofshim_clone, @function
pprofshim_clone:
	.cfi_startproc
	endbr64
	subq $16, %rsi
	movq %r8, (%rsi)
	movq %r9, 8(%rsi)
	movq %rdx, %r10 /* where the kernel writes 0 at the end */
	movq %rcx, %r8
	movl $SYS_CLONE, %eax
	syscall
	testq %rax, %rax
	jz 1f
	ret
1:	.cfi_undefined rip
	xorl %ebp, %ebp
	popq %rax
	popq %rdi
	call *%rax
	movl %eax, %edi
	movl $SYS_EXIT, %eax
	syscall
	hlt
	.cfi_endproc
	.size pprofshim_clone, . - pprofshim_clone

	.section .note.GNU-stack, "", @progbits
	.section .note.gnu.property, "a"
	.align 8
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000002, 4, 3, 0 /* x86 feature: IBT and SHSTK */
