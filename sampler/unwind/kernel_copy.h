/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Copies of our own memory by the kernel, which stops where there is none.
 */
#ifndef SAMPLER_UNWIND_KERNEL_COPY_H
#define SAMPLER_UNWIND_KERNEL_COPY_H

#include <stdint.h>
#include <sys/uio.h>

#include "sampler/base/sys.h"

/*
 * Copies `len` bytes at `at`, or as many as are there; returns how many, or -errno.
 * Context: handler, hook, without a system-call filter.
 */
static inline long kernel_copy(void *to, uint64_t at, uint32_t len)
{
	struct iovec local = { to, len };
	struct iovec remote = { (void *)at, len };

	return sys_call6(SYS_process_vm_readv, sys_gettid(), (long)&local, 1, (long)&remote, 1, 0);
}

#endif
