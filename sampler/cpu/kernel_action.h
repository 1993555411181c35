/* cpu: the CPU profile.  May include unwind, symbols and below. */
/* sigaction(2) as the kernel takes it; libc's struct differs.  Context: any role, including
 * handler. */
#ifndef SAMPLER_CPU_KERNEL_ACTION_H
#define SAMPLER_CPU_KERNEL_ACTION_H

#include <signal.h>
#include <stdint.h>

#include "sampler/arch/arch.h"
#include "sampler/base/sys.h"

struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

#define KERNEL_SIGSET_BYTES 8
#define SIGNAL_BIT(sig)	    (1ULL << ((sig)-1))
#define ALL_SIGNALS	    (~0ULL)

/* `act` or `old` may be NULL.  0 or -errno. */
static inline long kernel_action(int sig, const struct kernel_action *act,
				 struct kernel_action *old)
{
	return sys_call4(SYS_rt_sigaction, sig, (long)act, (long)old, KERNEL_SIGSET_BYTES);
}

/* `old` may be NULL. */
static inline void kernel_mask(int how, uint64_t mask, uint64_t *old)
{
	sys_call4(SYS_rt_sigprocmask, how, (long)&mask, (long)old, sizeof(mask));
}

/* Ends the process by the signal's default action, where the kernel lets us. */
static inline void kernel_die_of(int sig)
{
	const struct kernel_action dfl = { .handler = SIG_DFL };

	kernel_action(sig, &dfl, NULL);
	sys_call3(SYS_tgkill, sys_getpid(), sys_gettid(), sig);
	kernel_mask(SIG_UNBLOCK, SIGNAL_BIT(sig), NULL);
}

#endif
