/* x86-64: what arch.h asks for. */
#ifndef SAMPLER_ARCH_X86_64_H
#define SAMPLER_ARCH_X86_64_H

#include <linux/audit.h>

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

#define PAGE_BYTES	 4096UL /* there is no other base page */
#define ARCH_SA_RESTORER 0x04000000UL
#define ARCH_AUDIT	 AUDIT_ARCH_X86_64

/* ---- threads */

/* The control block's first word is its address.  gcc has a builtin for it since version 11. */
static inline unsigned long thread_pointer(void)
{
	unsigned long tp;

	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

#endif
