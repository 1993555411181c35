#include "shim/child.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "sampler/code.h"
#include "sampler/contention.h"
#include "sampler/cpu.h"
#include "sampler/heap.h"
#include "sampler/learn.h"
#include "sampler/sandbox.h"
#include "sampler/site_at.h"
#include "sampler/sys.h"
#include "sampler/wake.h"
#include "shim/cc.h"
#include "shim/last_thread.h"
#include "shim/life.h"
#include "shim/listener.h"
#include "shim/locks.h"

/* Longer than any daemon's first process waits for its child to be ready. */
#define YOUNG_NS (10 * NS_PER_SECOND)
/* The parent's last act was to fork; a child of this machine's slowest kind waits longer for it. */
#define PATIENCE_NS (5 * NS_PER_SECOND)
/* While somebody else has the port. */
#define FIRST_PAUSE_NS	 NS_PER_SECOND
#define LONGEST_PAUSE_NS (64 * NS_PER_SECOND)

/* Inherited by children, and then theirs. */
static struct {
	bool enabled;
	int holder;	 /* the last of us that had a listener */
	int forker;	 /* the last of us that called fork */
	int parent;	 /* the forker that this process is a child of */
	int noted_pid;	 /* of the process that `parent` is about */
	int predecessor; /* holder before this process became it */
	int64_t entered_ns;
	_Atomic int64_t next_try_ns;
	_Atomic int64_t pause_ns;
	atomic_bool busy; /* a thread starts or ends the listener */
} child;

void child_init(void)
{
	child.holder = sys_getpid();
	child.forker = child.holder;
	child.enabled = true;
}

void child_disable(void)
{
	child.enabled = false;
}

int child_predecessor(void)
{
	return child.predecessor;
}

/* ---- fork */

static void note_parent(void)
{
	life_note_pid();
	child.parent = child.forker;
	child.noted_pid = sys_getpid();
}

void child_before_fork(void)
{
	if (child.enabled && !life_is_borrowed())
		child.forker = sys_getpid();
}

void child_after_fork(bool is_child)
{
	if (is_child && child.enabled)
		note_parent();
}

/* ---- first look */

/*
 * Whoever was at work in the parent stopped, for us, between two instructions.
 * What hooks share is made so that a thread may stop anywhere; what the listener
 * had to itself is forgotten.
 */
static void put_in_order(void)
{
	sys_after_fork();
	wake_after_fork();
	cpu_after_fork();
	code_after_fork();
	learn_after_fork();
	site_at_after_fork();
	last_thread_after_fork();
	listener_after_fork();
	child.entered_ns = sys_now_ns();
	child.next_try_ns = 0;
	child.pause_ns = FIRST_PAUSE_NS;
	child.busy = false;
}

/* A fork behind our back was not announced, and this is no vfork child of one as far as we know. */
static enum life enter(void)
{
	if (!child.enabled || sandbox_is_noted() || !life_move(LIFE_WIPED, LIFE_ENTERING))
		return life_now();
	if (child.noted_pid != sys_getpid())
		note_parent();
	put_in_order();
	life_move(LIFE_ENTERING, LIFE_YOUNG);
	return LIFE_YOUNG;
}

static enum life state(void)
{
	enum life now = life_now();

	return UNLIKELY(now == LIFE_WIPED) ? enter() : now;
}

bool child_records(void)
{
	enum life now = state();

	return now == LIFE_YOUNG || now == LIFE_PARKED || now == LIFE_WHOLE;
}

/* ---- the parent */

/* In a pid namespace of its own a child does not see its parent, and is left alone. */
static bool parent_is_gone(void)
{
	int parent = (int)sys_call3(SYS_getppid, 0, 0, 0);

	return parent != child.parent && parent != 0;
}

/* The holder may be another ancestor, or a zombie that nobody waits for: tried, but not at once. */
static bool holder_is_there(void)
{
	return child.holder != child.parent && sys_call3(SYS_kill, child.holder, 0, 0) != -ESRCH;
}

void child_settle(void)
{
	if (life_now() == LIFE_YOUNG && !sandbox_is_noted() && !life_is_borrowed() &&
	    sys_now_ns() - child.entered_ns > YOUNG_NS && !parent_is_gone())
		life_move(LIFE_YOUNG, LIFE_WORKER);
}

bool child_keeps_watch(void)
{
	return state() == LIFE_YOUNG && !sandbox_is_noted() && !life_is_borrowed() &&
	       sys_now_ns() - child.entered_ns < YOUNG_NS && !parent_is_gone();
}

/* ---- taking over */

/* Held by hooks only, in slow paths; a signal handler may find its own thread there. */
static bool seize(int64_t patience_ns)
{
	int64_t until = sys_now_ns() + patience_ns;

	while (atomic_exchange(&child.busy, true)) {
		if (sys_now_ns() >= until)
			return false;
		sys_call3(SYS_sched_yield, 0, 0, 0);
	}
	return true;
}

static void let_go(void)
{
	child.busy = false;
}

static void inherit(void)
{
	child.predecessor = child.holder;
	child.holder = sys_getpid();
	child.forker = child.holder;
}

/* On the new listener's thread, with the port. */
static void become_whole(void)
{
	if (!life_move(LIFE_PARKED, LIFE_WHOLE)) {
		inherit();
		contention_after_fork();
		if (life_now() == LIFE_WORKER)
			heap_lose_blocks();
		if (!life_move(LIFE_YOUNG, LIFE_WHOLE))
			life_move(LIFE_WORKER, LIFE_WHOLE);
	}
	locks_watch_again();
}

/* On the listener's thread, as its last act but one: somebody else has the port. */
static void try_later(void)
{
	int64_t pause = child.pause_ns;

	child.next_try_ns = sys_now_ns() + pause;
	child.pause_ns = MIN(2 * pause, LONGEST_PAUSE_NS);
}

static void start_listener(int64_t patience_ns)
{
	int saved = errno;

	if (!seize(0))
		return;
	if (!listener_is_running() && !listener_take_over(patience_ns, become_whole, try_later))
		try_later();
	let_go();
	errno = saved;
}

/* Not in a filtered thread, which makes no call of ours, nor in a vfork child. */
static bool may_act(void)
{
	return !sandbox_is_noted() && !life_is_borrowed() && !listener_is_running();
}

static bool may_succeed(void)
{
	enum life now = state();

	return (now == LIFE_YOUNG || now == LIFE_WORKER) && may_act();
}

static bool is_time(void)
{
	int64_t now = sys_now_ns();

	if (child.next_try_ns == 0 && holder_is_there())
		child.next_try_ns = now + FIRST_PAUSE_NS;
	return now >= child.next_try_ns;
}

void child_chance(void)
{
	if (life_now() == LIFE_PARKED)
		child_unpark();
	else if (may_succeed() && parent_is_gone() && is_time())
		start_listener(0);
}

void child_succeed(void)
{
	if (may_succeed())
		start_listener(PATIENCE_NS);
}

/* ---- parking */

void child_park(void)
{
	int saved = errno;

	if (!child.enabled || sandbox_is_noted() || life_is_borrowed() || !listener_is_running() ||
	    !seize(NS_PER_SECOND))
		return;
	if (listener_end())
		life_move(LIFE_WHOLE, LIFE_PARKED);
	let_go();
	errno = saved;
}

void child_unpark(void)
{
	if (life_now() == LIFE_PARKED && may_act() && sys_now_ns() >= child.next_try_ns)
		start_listener(INT64_MAX / 2);
}
