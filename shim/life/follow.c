#include "shim/life/follow.h"

#include <linux/capability.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"
#include "shim/life/listener.h"
#include "shim/life/takeover.h"

/* The listener may be in the middle of an answer. */
#define PATIENCE_NS (2 * NS_PER_SECOND)
/* How often it is looked whether it is there at all. */
#define LOOK_NS (20 * NS_PER_MS)

/* More groups than any program sets that is not made to. */
#define GROUPS_MAX 1024

enum state { NOTHING, ASKED };

/* Written by the thread that has `taken`, while the state is NOTHING. */
static struct {
	atomic_bool taken;
	uint32_t state; /* futex word, enum state */
	struct request request;
	struct __user_cap_header_struct head;
	struct __user_cap_data_struct sets[2];
	uint32_t groups[GROUPS_MAX];
} ask;

static enum state state_now(void)
{
	return __atomic_load_n(&ask.state, __ATOMIC_ACQUIRE);
}

/* Until nothing is asked for; what the last one asked for and did not await may be there. */
static bool wait_for_answer(int64_t until_ns)
{
	int64_t left;

	while (state_now() == ASKED && (left = until_ns - sys_now_ns()) > 0 &&
	       listener_is_running()) {
		struct timespec ts = { 0, MIN(left, LOOK_NS) };

		sys_futex(&ask.state, FUTEX_WAIT_PRIVATE, ASKED, &ts);
	}
	return state_now() == NOTHING;
}

/* A thread id in the header is the caller's own: the kernel lets nobody change another's. */
static void copy_capabilities(struct request *r)
{
	memcpy(&ask.head, (const void *)r->arg[0], sizeof(ask.head));
	ask.head.pid = 0;
	memcpy(ask.sets, (const void *)r->arg[1],
	       ask.head.version == _LINUX_CAPABILITY_VERSION_1 ? sizeof(ask.sets[0])
							       : sizeof(ask.sets));
	r->arg[0] = (long)&ask.head;
	r->arg[1] = (long)ask.sets;
}

/* False: too many. */
static bool copy_groups(struct request *r)
{
	if (r->arg[0] == FOLLOW_GROUPS_OF_CALLER)
		r->arg[0] = sys_call3(SYS_getgroups, GROUPS_MAX, (long)ask.groups, 0);
	else if (r->arg[0] <= GROUPS_MAX)
		memcpy(ask.groups, (const void *)r->arg[1],
		       (size_t)r->arg[0] * sizeof(*ask.groups));
	r->arg[1] = (long)ask.groups;
	return r->arg[0] >= 0 && r->arg[0] <= GROUPS_MAX;
}

static bool copy(const struct request *r)
{
	ask.request = *r;
	if (r->number == SYS_capset)
		copy_capabilities(&ask.request);
	return r->number != SYS_setgroups || copy_groups(&ask.request);
}

/* Woken or not, the listener looks at each of its ticks. */
static bool ask_listener(const struct request *r)
{
	int64_t until_ns = sys_now_ns() + PATIENCE_NS;

	if (!wait_for_answer(until_ns) || !copy(r))
		return false;
	__atomic_store_n(&ask.state, ASKED, __ATOMIC_RELEASE);
	wake();
	return wait_for_answer(until_ns);
}

static bool follows(const struct request *r)
{
	bool done;

	/* a signal handler may find its own thread here */
	if (!listener_is_attentive() || atomic_exchange(&ask.taken, true))
		return false;
	done = ask_listener(r);
	atomic_store(&ask.taken, false);
	return done;
}

void follow(const struct request *r)
{
	if (follows(r))
		return;
	listener_pause_begin();
	listener_pause_end();
}

void follow_look(void)
{
	const long *arg = ask.request.arg;

	if (LIKELY(state_now() != ASKED))
		return;
	sys_call6(ask.request.number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	__atomic_store_n(&ask.state, NOTHING, __ATOMIC_RELEASE);
	sys_futex(&ask.state, FUTEX_WAKE_PRIVATE, 1, NULL);
}

void follow_after_fork(void)
{
	ask.state = NOTHING;
	atomic_store(&ask.taken, false);
}
