/*
 * prctl and syscall(): how a program installs a system-call filter.  Before one
 * comes into force the handler and the hooks go quiet; a filter for all threads
 * at once (SECCOMP_FILTER_FLAG_TSYNC) would reach the listener too, so then the
 * listener ends first.
 */
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/cpu.h"
#include "shim/hooks/park.h"
#include "shim/life/filter.h"
#include "shim/life/listener.h"
#include "shim/life/takeover.h"
#include "shim/real/real.h"

/* Under a filter without rt_sigreturn a tick would be the last thing that happens. */
static void stop_ticks(void)
{
	cpu_disable("a system-call filter of the program forbids signal handlers to return");
	carrier_retire();
}

static void filter_comes(bool for_all_threads, const struct sock_fprog *program)
{
	if (process_is_borrowed())
		return;
	if (!filter_lets_handlers_return(program))
		stop_ticks();
	if (for_all_threads)
		listener_end();
	else
		listener_pause_end(); /* later it could not be */
	sandbox_note();
}

/* What it does to the calling thread it does to no other. */
static bool confines_thread(int option)
{
	return option == PR_CAPBSET_DROP || option == PR_SET_KEEPCAPS ||
	       option == PR_SET_SECUREBITS || option == PR_SET_NO_NEW_PRIVS ||
	       option == PR_CAP_AMBIENT;
}

static void prctl_comes(int option, unsigned long mode, unsigned long filter)
{
	if (UNLIKELY(option == PR_SET_SECCOMP))
		filter_comes(false, mode == SECCOMP_MODE_FILTER ? (void *)filter : NULL);
	else if (UNLIKELY(confines_thread(option)))
		listener_pause_begin();
}

EXPORT int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list list;
	int err;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(list, unsigned long);
	va_end(list);
	prctl_comes(option, arg[0], arg[1]);
	err = real()->prctl(option, arg[0], arg[1], arg[2], arg[3]);
	listener_pause_end();
	return err;
}

/* Called by syscall() in shim/arch before it makes seccomp(operation, flags, program). */
void pprofshim_before_seccomp(unsigned operation, unsigned flags, const struct sock_fprog *program);

void pprofshim_before_seccomp(unsigned operation, unsigned flags, const struct sock_fprog *program)
{
	if (operation == SECCOMP_SET_MODE_STRICT)
		filter_comes(false, NULL);
	/* without a program it is a question which flags the kernel knows */
	if (operation == SECCOMP_SET_MODE_FILTER && program)
		filter_comes(flags & SECCOMP_FILTER_FLAG_TSYNC, program);
}

/* Called by syscall() in shim/arch before it makes capset, prctl, unshare or setns. */
void pprofshim_before_confinement(long number, unsigned long first, unsigned long second,
				  unsigned long third);

void pprofshim_before_confinement(long number, unsigned long first, unsigned long second,
				  unsigned long third)
{
	if (number == SYS_prctl)
		prctl_comes((int)first, second, third);
	else if (number == SYS_capset)
		listener_pause_begin();
	else if (number == SYS_unshare)
		park_before_unshare((int)first);
	else if (number == SYS_setns)
		park_before_setns((int)second);
}
