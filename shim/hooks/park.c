/*
 * Calls that the kernel refuses to a process with several threads, or that
 * change the privileges of the calling thread alone: our thread is out of the
 * way first (child_park()).  prctl is in sandbox.c.
 */
#include "shim/hooks/park.h"

#include <sched.h>

#include "sampler/base/cc.h"
#include "shim/life/child.h"
#include "shim/real/real.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* setns: any kind, when the descriptor says which. */
static bool needs_one_thread(int kind)
{
	return kind == 0 || kind & (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWTIME);
}

void park_before_setns(int kind)
{
	if (needs_one_thread(kind))
		child_park();
}

EXPORT int setns(int fd, int kind)
{
	park_before_setns(kind);
	return real()->setns(fd, kind);
}

void park_before_unshare(int flags)
{
	if (flags & (CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM))
		child_park();
}

EXPORT int unshare(int flags)
{
	park_before_unshare(flags);
	return real()->unshare(flags);
}

/* In no header of libc's. */
int capset(void *header, const void *data);

EXPORT int capset(void *header, const void *data)
{
	child_park();
	return real()->capset(header, data);
}
