#include "shim/life/child.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/turn.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/unload.h"
#include "sampler/heap/heap.h"
#include "sampler/locks/contention.h"
#include "sampler/symbols/symbol_cache.h"
#include "sampler/threads/births.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/site_at.h"
#include "shim/life/last_thread.h"
#include "shim/life/life.h"
#include "shim/life/listener.h"

/* Longer than any daemon's first process waits for its child to be ready. */
#define YOUNG_NS (10 * NS_PER_SECOND)
/* The parent's last act was to fork; a child of this machine's slowest kind waits longer for it. */
#define PATIENCE_NS (5 * NS_PER_SECOND)
/* While somebody else has the port. */
#define FIRST_PAUSE_NS	 NS_PER_SECOND
#define LONGEST_PAUSE_NS (64 * NS_PER_SECOND)
#define FOR_EVER	 (INT64_MAX / 2)

/* Inherited by children, and then theirs. */
static struct {
	bool enabled;
	void (*on_whole)(void);
	int holder;	 /* the last of us that had a listener */
	int forker;	 /* the last of us that called fork */
	int parent;	 /* the forker that this process is a child of */
	int noted_pid;	 /* of the process that `parent` is of */
	int predecessor; /* holder before this process became it */
	int64_t entered_ns;
	_Atomic int64_t next_try_ns;
	_Atomic int64_t pause_ns;
	struct turns turns;
	atomic_bool busy; /* a thread starts or ends the listener */
} child;

void child_init(void (*on_whole)(void))
{
	child.on_whole = on_whole;
	child.holder = sys_getpid();
	child.forker = child.holder;
	child.noted_pid = child.holder;
	child.enabled = true;
}

int child_predecessor(void)
{
	return child.predecessor;
}

/* ---- fork */

/* Once in each process, before it forks or takes over: who forked it is in what it inherited. */
static void note_parent(int pid)
{
	if (child.noted_pid == pid)
		return;
	child.noted_pid = pid;
	child.parent = child.forker;
}

/* Written only when it changes: after a fork the page would have to be copied. */
void child_before_fork(void)
{
	int pid = sys_getpid();

	if (!child.enabled || (child.forker == pid && child.noted_pid == pid) || life_is_borrowed())
		return;
	note_parent(pid);
	child.forker = pid;
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
	symbol_cache_after_fork();
	learn_after_fork();
	unload_after_fork();
	site_at_after_fork();
	births_after_fork();
	last_thread_after_fork();
	listener_after_fork();
	child.entered_ns = sys_now_ns();
	child.next_try_ns = 0;
	child.pause_ns = FIRST_PAUSE_NS;
	child.turns = (struct turns){ 0 };
	child.busy = false;
}

/* A fork behind our back was not announced, and this is no vfork child of one as far as we know. */
static enum life enter(void)
{
	if (!child.enabled || sandbox_is_noted() || !life_move(LIFE_WIPED, LIFE_ENTERING))
		return life_now();
	life_note_pid();
	note_parent(sys_getpid());
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
	       monotonic_coarse_ns() - child.entered_ns < YOUNG_NS && !parent_is_gone();
}

/* ---- signal handlers */

const uint64_t child_no_handler = 0;

static bool has_handler(int sig)
{
	struct {
		uint64_t handler, flags, restorer, mask;
	} act;

	return sys_call4(SYS_rt_sigaction, sig, 0, (long)&act, sizeof(act.mask)) == 0 &&
	       act.handler > 1; /* SIG_DFL, SIG_IGN */
}

static bool is_on_alternate_stack(void)
{
	stack_t stack;

	return sys_call3(SYS_sigaltstack, 0, (long)&stack, 0) == 0 && stack.ss_flags & SS_ONSTACK;
}

/* While a handler runs its signal is blocked, as long as the program does not ask otherwise. */
static bool may_be_in_handler(const uint64_t *blocked)
{
	uint64_t mask = 0;

	if (blocked == &child_no_handler)
		return false;
	if (blocked)
		mask = *blocked;
	else
		sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, sizeof(mask));
	for (; mask; mask &= mask - 1) {
		if (has_handler(__builtin_ctzll(mask) + 1))
			return true;
	}
	return is_on_alternate_stack();
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
	child.on_whole();
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

/*
 * Not in a filtered thread, which makes no call of ours, nor in a vfork child, nor
 * when main is gone: nobody would tell the listener when it is the last thread.
 */
static bool may_act(void)
{
	return !sandbox_is_noted() && !life_is_borrowed() && !listener_is_running() &&
	       !last_thread_is_leaving();
}

static bool may_succeed(void)
{
	enum life now = state();

	return (now == LIFE_YOUNG || now == LIFE_WORKER) && may_act();
}

/*
 * To ask for the parent costs half an empty epoll_wait, and a wait in pieces five
 * times as much.  A child that waits 256 times in its first moments has every wait
 * looked at; one that serves thousands of requests a second does not notice.
 */
#define TURN_NS	   (100 * NS_PER_MS)
#define TURN_BURST 256

bool child_is_to_look(void)
{
	int64_t now = monotonic_coarse_ns();

	return now && state() != LIFE_WIPED && turn_take(&child.turns, now, TURN_NS, TURN_BURST);
}

static bool may_unpark(void)
{
	return may_act() && sys_now_ns() >= child.next_try_ns;
}

static bool is_time(void)
{
	int64_t now = sys_now_ns();

	if (child.next_try_ns == 0 && holder_is_there())
		child.next_try_ns = now + FIRST_PAUSE_NS;
	return now >= child.next_try_ns;
}

void child_chance(const uint64_t *blocked)
{
	if (life_now() == LIFE_PARKED) {
		if (may_unpark() && !may_be_in_handler(blocked))
			start_listener(FOR_EVER);
	} else if (may_succeed() && parent_is_gone() && is_time() && !may_be_in_handler(blocked)) {
		start_listener(0);
	}
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
	    last_thread_is_leaving() || !seize(NS_PER_SECOND))
		return;
	listener_end(); /* or it ends a little later, and is started again all the same */
	life_move(LIFE_WHOLE, LIFE_PARKED);
	let_go();
	errno = saved;
}

void child_unpark(void)
{
	if (life_now() == LIFE_PARKED && may_unpark())
		start_listener(FOR_EVER);
}
