/*
 * setuid and its sisters.  libc makes them on every thread that it knows, and ours is
 * none of these: it would stay behind with all that the program has given up.  So when
 * something has changed, our thread ends, and the next one is made by the thread that
 * made the call: before the call returns it has the same ids and groups.
 */
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "shim/life/listener.h"
#include "shim/life/takeover.h"
#include "shim/real/real.h"

struct identity {
	uint32_t uid[3], gid[3]; /* real, effective, saved */
};

static bool has_listener(void)
{
	return process_is_in_order() && !sandbox_is_noted() && !process_is_borrowed() &&
	       listener_is_running();
}

static void read_identity(struct identity *i)
{
	sys_call3(SYS_getresuid, (long)&i->uid[0], (long)&i->uid[1], (long)&i->uid[2]);
	sys_call3(SYS_getresgid, (long)&i->gid[0], (long)&i->gid[1], (long)&i->gid[2]);
}

/* `groups`: the call changed the list of groups. */
static void follow(const struct identity *before, bool groups)
{
	struct identity now = { 0 };

	read_identity(&now);
	if (!groups && memcmp(&now, before, sizeof(now)) == 0)
		return;
	listener_pause_begin();
	listener_pause_end();
}

/* X(name, parameters, arguments, whether it changes the list of groups) */
#define IDENTITY_CALLS(X)                                                                          \
	X(setuid, (uid_t uid), (uid), false)                                                       \
	X(setgid, (gid_t gid), (gid), false)                                                       \
	X(seteuid, (uid_t uid), (uid), false)                                                      \
	X(setegid, (gid_t gid), (gid), false)                                                      \
	X(setreuid, (uid_t r, uid_t e), (r, e), false)                                             \
	X(setregid, (gid_t r, gid_t e), (r, e), false)                                             \
	X(setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s), false)                                \
	X(setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s), false)                                \
	X(setgroups, (size_t n, const gid_t *groups), (n, groups), true)                           \
	X(initgroups, (const char *user, gid_t group), (user, group), true)

#define X(name, parameters, arguments, groups)                                                     \
	EXPORT int name parameters                                                                 \
	{                                                                                          \
		struct identity before = { 0 };                                                    \
		int err;                                                                           \
                                                                                                   \
		if (!has_listener())                                                               \
			return real()->name arguments;                                             \
		read_identity(&before);                                                            \
		err = real()->name arguments;                                                      \
		if (err == 0)                                                                      \
			follow(&before, groups);                                                   \
		return err;                                                                        \
	}
IDENTITY_CALLS(X)
#undef X
