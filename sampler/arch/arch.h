/*
 * The seam for the processor: this header is the list of what a port has to write.
 * Each item is defined by the header of the machine that is compiled for, or by the
 * machine's .c and .S beside it.  What hooks syscall() is in shim/arch, as it calls
 * the shim.  Everywhere else no register, instruction or machine number has a name;
 * a gate looks (.ci/arch.sh).
 *
 * Context: any role, including handler, unless an item says less.
 */
#ifndef SAMPLER_ARCH_ARCH_H
#define SAMPLER_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the kernel */

/*
 * A system call with as many arguments.  Returns the kernel's value, -errno on
 * failure; errno itself is left alone.
 */
static inline long sys_call3(long nr, long a, long b, long c);
static inline long sys_call4(long nr, long a, long b, long c, long d);
static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f);

/*
 * Where the kernel goes when a signal handler returns, as sa_restorer: it makes
 * rt_sigreturn.  Never called.
 */
void pprofshim_sigreturn(void);

/*
 * PAGE_BYTES: size of a page; a constant, because tables are aligned to it.
 * ARCH_SA_RESTORER: the flag of the kernel's struct sigaction that says that
 * sa_restorer is set, as libc sets it; 0 where libc leaves it out.
 * ARCH_AUDIT: AUDIT_ARCH_*, by which a system-call filter knows our calls.
 */

/* ---- threads */

/* Where this thread's control block is.  Differs between all threads that are alive. */
static inline unsigned long thread_pointer(void);

#if defined(__x86_64__)
#include "sampler/arch/x86_64.h"
#else
#error "pprofshim is not written for this processor: see above what a port needs"
#endif

#if !defined(PAGE_BYTES) || !defined(ARCH_SA_RESTORER) || !defined(ARCH_AUDIT)
#error "the header of this processor lacks what arch.h asks for"
#endif

#endif
