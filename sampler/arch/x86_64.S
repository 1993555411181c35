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

	.section .note.GNU-stack, "", @progbits
	.section .note.gnu.property, "a"
	.align 8
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000002, 4, 3, 0 /* x86 feature: IBT and SHSTK */
