/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Arguments that the kernel would check: where a hook looks at what a raw system call
 * is given, an address that is not readable is left for the kernel to refuse.
 */
#ifndef SHIM_HOOKS_USER_MEMORY_H
#define SHIM_HOOKS_USER_MEMORY_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

#include "sampler/base/sys.h"

/* False: there is no such memory.  Context: hook, where system calls of ours may be made. */
static inline bool user_copy(void *to, const void *from, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(unsigned long)from, len };
	long n =
		sys_call6(SYS_process_vm_readv, sys_getpid(), (long)&local, 1, (long)&remote, 1, 0);

	if (n == -EFAULT || (n >= 0 && n < (long)len))
		return false;
	if (n < 0)
		memcpy(to, from, len); /* a kernel that does not copy for us */
	return true;
}

#endif
