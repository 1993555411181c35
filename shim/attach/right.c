#include "shim/attach/right.h"

#include <errno.h>
#include <string.h>

#include "shim/attach/refuse.h"

/* Of yama: nobody may, whoever they are. */
#define SCOPE_NOBODY 3

static const char *without_capability(const struct right *r, int pid, uint64_t uid, int error)
{
	if (!r->is_own)
		return say("process %d belongs to user %llu; run pprof-attach as that user or with "
			   "sudo, "
			   "in a container started with --cap-add SYS_PTRACE",
			   pid, (unsigned long long)uid);
	if (r->scope > 0)
		return say(
			"kernel.yama.ptrace_scope is %d, which keeps you from attaching to what is "
			"yours; run pprof-attach with sudo, or say sudo sysctl "
			"kernel.yama.ptrace_scope=0, or start the container with --cap-add "
			"SYS_PTRACE",
			r->scope);
	return say(
		"the kernel refuses to let you stop a thread of process %d (%s): it changed its "
		"user "
		"or capabilities, or a security module forbids it; run pprof-attach with sudo, or "
		"start the container with --cap-add SYS_PTRACE",
		pid, strerror(error));
}

/* The most likely reason first, with the exact way out. */
const char *right_sentence(const struct right *r, int pid, uint64_t uid, int error)
{
	if (error == ESRCH)
		return say("process %d ended", pid);
	if (r->scope == SCOPE_NOBODY)
		return say("kernel.yama.ptrace_scope is 3, which forbids everybody to attach until "
			   "the "
			   "machine is started anew; start the program with pprof-inject instead");
	if (!r->may_trace)
		return without_capability(r, pid, uid, error);
	return say(
		"the kernel refuses to stop a thread of process %d (%s), though you may trace: it "
		"is "
		"in a user namespace above yours, or a security module (AppArmor, SELinux) forbids "
		"it; run pprof-attach on the host",
		pid, strerror(error));
}
