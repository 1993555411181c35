/*
 * Calls that the kernel refuses to a process with several threads, or that
 * change the privileges of the calling thread alone: our thread is out of the
 * way first (listener_pause_begin()).  prctl is in sandbox.c.
 */
#include "shim/hooks/park.h"

#include <sched.h>

#include "sampler/base/cc.h"
#include "shim/life/takeover.h"
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
		listener_pause_begin();
}

EXPORT int setns(int fd, int kind)
{
	int err;

	park_before_setns(kind);
	err = real()->setns(fd, kind);
	listener_pause_end();
	return err;
}

void park_before_unshare(int flags)
{
	if (flags & (CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM))
		listener_pause_begin();
}

EXPORT int unshare(int flags)
{
	int err;

	park_before_unshare(flags);
	err = real()->unshare(flags);
	listener_pause_end();
	return err;
}

/* In no header of libc's. */
int capset(void *header, const void *data);

EXPORT int capset(void *header, const void *data)
{
	int err;

	listener_pause_begin();
	err = real()->capset(header, data);
	listener_pause_end();
	return err;
}
