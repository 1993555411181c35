/*
 * Who calls this: the hooks of sigaction, and cpu.c on the listener.
 *
 * The one order that matters: the listener says that masks are in, or out, and then waits until no
 * call of the program is under way that began before.  Later ones do as it said; of what is left
 * it changes one action after the other, each while no call is under way.  So no action of the
 * program is overwritten by one that was there before it.
 */
#include "sampler/cpu/action_masks.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"

static atomic_bool is_in;     /* masks of what is set from now on get it */
static atomic_bool may_be_in; /* some have it, or are about to */
static atomic_bool had_any;   /* one of those that have it, or had it, may still run */
static atomic_int under_way;  /* calls of the program */
static atomic_bool is_taking; /* an action is being changed by us, or by nobody */

/* The other signal that libc keeps to itself. */
#define KEPT_TOO (CARRIER - 1)

bool action_mask_is_ours(uint64_t mask)
{
	return mask & SIGNAL_BIT(CARRIER) && !(mask & SIGNAL_BIT(KEPT_TOO));
}

bool action_masks_have_carrier(void)
{
	return atomic_load_explicit(&had_any, memory_order_relaxed);
}

bool action_masks_are_in(void)
{
	return atomic_load(&is_in);
}

bool action_masks_may_be_in(void)
{
	return atomic_load(&may_be_in);
}

static bool runs_on_stack(const void *handler, uint64_t flags)
{
	return flags & SA_ONSTACK && handler != (void *)SIG_DFL && handler != (void *)SIG_IGN;
}

/* ---- calls of the program */

/* We hold it for two system calls; beside a thread of the highest priority longer. */
static const struct timespec moment = { 0, 50000 };
#define WAITS 40

/* seq_cst: whoever takes it sees the call, or the call sees that it is taken. */
static void enter(void)
{
	for (int i = 0; i < WAITS; i++) {
		atomic_fetch_add(&under_way, 1);
		if (LIKELY(!atomic_load(&is_taking)) || sandbox_is_noted())
			return;
		atomic_fetch_sub(&under_way, 1);
		sys_call4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&moment, 0);
	}
	atomic_fetch_add(&under_way, 1);
	counter_add(COUNTER_SIGACTION_WAITS_TIMED_OUT, 1);
}

/* What a program makes by sigfillset() has not the carrier, but memset() puts it in. */
void action_mask_begin(struct action_change *c, const struct action_asked *asked)
{
	enter();
	c->adds = atomic_load(&is_in) && asked && runs_on_stack(asked->handler, asked->flags) &&
		  !(asked->mask & SIGNAL_BIT(CARRIER));
	if (c->adds)
		atomic_store_explicit(&had_any, true, memory_order_relaxed);
}

void action_mask_show(uint64_t *mask)
{
	if (action_masks_have_carrier() && action_mask_is_ours(*mask))
		*mask &= ~SIGNAL_BIT(CARRIER);
}

void action_mask_end(uint64_t *mask)
{
	if (mask)
		action_mask_show(mask);
	atomic_fetch_sub(&under_way, 1);
}

/* ---- our changes */

/* A call whose signal handler jumped away never ends. */
#define CALLS_WAIT_NS (100 * NS_PER_MS)

static void pause_shortly(void)
{
	sys_call4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&moment, 0);
}

static void take(void)
{
	while (atomic_exchange(&is_taking, true))
		pause_shortly();
}

static void give(void)
{
	atomic_store(&is_taking, false);
}

/* Below 0: a child that was forked by a handler within such a call has left it, too. */
static void take_alone(int64_t until_ns)
{
	take();
	while (atomic_load(&under_way) > 0 && sys_now_ns() < until_ns) {
		give();
		pause_shortly();
		take();
	}
}

static bool is_same(const struct kernel_action *a, const struct kernel_action *b)
{
	return a->handler == b->handler && a->flags == b->flags && a->restorer == b->restorer &&
	       a->mask == b->mask;
}

static void make_right(struct kernel_action *a)
{
	if (!runs_on_stack(a->handler, a->flags))
		return;
	if (atomic_load(&is_in))
		a->mask |= SIGNAL_BIT(CARRIER);
	else if (action_mask_is_ours(a->mask))
		a->mask &= ~SIGNAL_BIT(CARRIER);
}

/*
 * What was found instead of what was read came from the program's own code, or from the kernel
 * (SA_RESETHAND): it comes back.
 */
static NOINLINE void change(int sig)
{
	struct kernel_action is, to, found;

	if (kernel_action(sig, NULL, &is) != 0)
		return;
	to = is;
	for (int i = 0; i < 16; i++) {
		make_right(&to);
		if (is_same(&to, &is) || kernel_action(sig, &to, &found) != 0 ||
		    is_same(&found, &is))
			return;
		is = to;
		to = found;
	}
}

static NOINLINE bool is_to_change(int sig)
{
	struct kernel_action is, to;

	if (sig == CARRIER || kernel_action(sig, NULL, &is) != 0)
		return false;
	to = is;
	make_right(&to);
	return !is_same(&to, &is);
}

/* Whoever interrupts us here may come to a hook, and would wait for us. */
static void change_all(void)
{
	uint64_t mask = sys_block_signals();
	int64_t until_ns = sys_now_ns() + CALLS_WAIT_NS;

	take_alone(until_ns);
	give();
	for (int sig = 1; sig < _NSIG; sig++) {
		if (!is_to_change(sig))
			continue;
		atomic_store_explicit(&had_any, true, memory_order_relaxed);
		take_alone(until_ns);
		change(sig);
		give();
	}
	if (atomic_load(&under_way) > 0 && sys_now_ns() >= until_ns)
		counter_add(COUNTER_SIGACTION_WAITS_TIMED_OUT, 1);
	sys_restore_signals(mask);
}

void action_masks_put_in(void)
{
	if (!carrier_hooks_tell())
		return;
	atomic_store(&may_be_in, true);
	atomic_store(&is_in, true);
	change_all();
}

void action_masks_take_out(void)
{
	if (!carrier_hooks_tell())
		return;
	atomic_store(&is_in, false);
	change_all();
	atomic_store(&may_be_in, false);
}

/* Whoever forked within a call of its own leaves it once more: see take_alone(). */
void action_masks_after_fork(void)
{
	atomic_store(&under_way, 0);
	atomic_store(&is_taking, false);
	atomic_store(&is_in, false);
	if (atomic_exchange(&may_be_in, false))
		change_all();
}

/* ---- which handler runs */

/* What the kernel blocks in a handler. */
static uint64_t mask_within(const struct kernel_action *a, int sig)
{
	return a->mask | (a->flags & SA_NODEFER ? 0 : SIGNAL_BIT(sig));
}

static bool goes_to_stack(int sig, struct kernel_action *a)
{
	return sig != CARRIER && kernel_action(sig, NULL, a) == 0 &&
	       runs_on_stack(a->handler, a->flags);
}

/* One that began before the profile has its mask without the carrier. */
static bool may_run(int sig, uint64_t blocked, uint64_t before, struct kernel_action *a)
{
	return goes_to_stack(sig, a) && ((before | mask_within(a, sig) | SIGNAL_BIT(CARRIER)) ==
					 (blocked | SIGNAL_BIT(CARRIER)));
}

const void *action_mask_tells_handler(uint64_t blocked, uint64_t before, int sig)
{
	const void *found = NULL;
	struct kernel_action a;
	bool several = false;

	if (sig > 0 && sig < _NSIG && may_run(sig, blocked, before, &a) && a.flags & SA_SIGINFO)
		return a.handler;
	for (int i = 1; i < _NSIG; i++) {
		if (!may_run(i, blocked, before, &a))
			continue;
		several |= found && found != a.handler;
		found = a.handler;
	}
	return several ? NULL : found;
}

static bool blocks_all_of(uint64_t blocked, uint64_t mask)
{
	return (blocked & mask) == mask;
}

bool action_masks_may_be_open(uint64_t blocked, uint64_t before, bool silent)
{
	struct kernel_action a;

	for (int sig = 1; sig < _NSIG; sig++) {
		uint64_t within;

		if (!goes_to_stack(sig, &a))
			continue;
		within = mask_within(&a, sig);
		within &= action_mask_is_ours(a.mask) ? ~SIGNAL_BIT(CARRIER) : ~0ULL;
		if (blocks_all_of(blocked, before | within) && (within & ~before || silent))
			return true;
	}
	return false;
}
