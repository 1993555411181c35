/*
 * A program that we were attached to puts itself under a system-call filter: nothing that we do
 * from then on may be a system call on its threads, and our own thread would be under none.  So
 * that one ends, and hooks and handler are quiet.  The stubs in arch/ come here before the call.
 */
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "shim/hooks/stub.h"
#include "shim/life/listener.h"
#include "shim/real/real.h"

/* Without a program, or with flags that there are not, it is a question. */
static bool installs_filter(long number, long first, long second, long third)
{
	if (number == SYS_prctl)
		return first == PR_SET_SECCOMP &&
		       (second == SECCOMP_MODE_STRICT || (second == SECCOMP_MODE_FILTER && third));
	return number == SYS_seccomp &&
	       (first == SECCOMP_SET_MODE_STRICT || (first == SECCOMP_SET_MODE_FILTER && third));
}

void *pprofshim_before_filter(long number, long first, long second, long third)
{
	if (installs_filter(number, first, second, third) && process_is_ours() &&
	    !sandbox_is_noted() && !process_is_borrowed()) {
		listener_end();
		sandbox_note();
	}
	return (void *)real()->prctl;
}
