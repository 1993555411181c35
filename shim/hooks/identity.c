/*
 * setuid and its sisters.  libc makes them on every thread that it knows, and ours is
 * none of these: it would stay behind with all that the program has given up.  So it
 * makes the same system call before the function returns, whichever thread called.  And no thread
 * keeps the others waiting because of us (reopen.h).
 */
#include <errno.h>
#include <grp.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/reopen.h"
#include "shim/life/follow.h"
#include "shim/real/real.h"

static COLD NOINLINE void follow_identity(const struct request *r)
{
	int saved = errno;

	if (process_is_in_order() && !sandbox_is_noted() && !process_is_borrowed())
		follow(r);
	errno = saved;
}

/* X(name, parameters, arguments, the system call that libc makes on each thread) */
#define IDENTITY_CALLS(X)                                                                          \
	X(setuid, (uid_t uid), (uid), SYS_setuid, { uid })                                         \
	X(setgid, (gid_t gid), (gid), SYS_setgid, { gid })                                         \
	X(seteuid, (uid_t uid), (uid), SYS_setresuid, { -1, uid, -1 })                             \
	X(setegid, (gid_t gid), (gid), SYS_setresgid, { -1, gid, -1 })                             \
	X(setreuid, (uid_t r, uid_t e), (r, e), SYS_setreuid, { r, e })                            \
	X(setregid, (gid_t r, gid_t e), (r, e), SYS_setregid, { r, e })                            \
	X(setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s), SYS_setresuid, { r, e, s })           \
	X(setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s), SYS_setresgid, { r, e, s })           \
	X(setgroups, (size_t n, const gid_t *groups), (n, groups), SYS_setgroups,                  \
	  { (long)n, (long)groups })                                                               \
	X(initgroups, (const char *user, gid_t group), (user, group), SYS_setgroups,               \
	  { FOLLOW_GROUPS_OF_CALLER })

#define X(name, parameters, arguments, number, ...)                                                \
	EXPORT int name parameters                                                                 \
	{                                                                                          \
		bool began = reopen_begin();                                                       \
		int err = real()->name arguments;                                                  \
                                                                                                   \
		reopen_end(began);                                                                 \
		if (err == 0)                                                                      \
			follow_identity(&(struct request){ number, __VA_ARGS__ });                 \
		return err;                                                                        \
	}
IDENTITY_CALLS(X)
#undef X
