/*
 * Who calls this: roster.c, for the calling thread (hooks) or for any (listener).
 *
 * The one structure is a record's `state`.  Whoever moves it to BUSY owns the timer until
 * it moves it on; pausing and resuming are one move and one system call of the thread
 * itself.  docs/PROTOCOLS.md, "Thread record", has all moves.
 *
 * The one order that matters: the record is visible before the mask is read (listener),
 * the mask is changed before the record is looked for (hook); see arm.h.
 */
#include "sampler/cpu/arm.h"

#include <linux/futex.h>
#include <signal.h>

#include "sampler/base/cc.h"
#include "sampler/base/debug.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/alternate_stacks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/timers.h"
#include "sampler/cpu/within.h"
#include "sampler/process/tasks.h"

/* Leaves a state for another only if nobody else did; who reaches BUSY owns the timer. */
static bool move_state(struct thread *t, int from, int to)
{
	/* seq_cst: needed for the two-sided check in arm.h (store mine, then read yours) */
	if (!atomic_compare_exchange_strong(&t->state, &from, to))
		return false;
	DEBUG_EVENT("thread record", from, to, t->tid);
	return true;
}

void arm_count_once(struct thread *t, enum counter c)
{
	if (!t->counted)
		counter_add(c, 1);
	t->counted = true;
}

/* Leaves BUSY, unless the thread has ended meanwhile: then its timer is ours to delete. */
static void leave_busy(struct thread *t, int state)
{
	if (!move_state(t, THREAD_BUSY, state) && t->timer >= 0)
		timer_delete_of(t);
}

/* The timer may fire before the state says ARMED; the handler does not look at the state. */
void arm_self(struct thread *t, int signal, int64_t period_ns)
{
	int err;

	if (!move_state(t, THREAD_UNARMED, THREAD_BUSY))
		return;
	err = timer_start(t, signal, period_ns);
	if (err)
		arm_count_once(t, COUNTER_CPU_TIMERS_REFUSED);
	leave_busy(t, err ? THREAD_UNARMED : THREAD_ARMED);
}

/*
 * Whether no tick may come to the thread, and what counts that.
 *
 * The record must be visible before we read the thread's mask.  The hook changes the mask
 * first and looks for a record second, so one of the two sees the other.  The same holds
 * for its alternate stack.
 */
static bool takes_no_tick(struct thread *t, int signal, enum counter *why)
{
	uint64_t blocked;

	atomic_thread_fence(memory_order_seq_cst);
	blocked = task_blocked_signals(t->tid);
	*why = COUNTER_CPU_THREADS_BLOCKED;
	if (blocked & 1ULL << (signal - 1) || within_open_handler(t, blocked))
		return true;
	*why = COUNTER_CPU_THREADS_STACK_UNSEEN;
	if (!carrier_may_reach(t->tid))
		return true;
	*why = COUNTER_CPU_THREADS_SMALL_STACK;
	return !alternate_stack_is_usable(t->tid);
}

bool arm_may_tick(struct thread *t, int signal)
{
	enum counter why;

	return signal && !takes_no_tick(t, signal, &why);
}

void arm_other(struct thread *t, int signal, int64_t period_ns)
{
	enum counter why;

	if (!signal)
		return; /* closed by roster_retire() a moment ago */
	if (takes_no_tick(t, signal, &why))
		arm_count_once(t, why);
	else
		arm_self(t, signal, period_ns);
}

void arm_undo(struct thread *t, enum counter why)
{
	if (!move_state(t, THREAD_ARMED, THREAD_BUSY))
		return;
	timer_delete_of(t);
	leave_busy(t, THREAD_UNARMED);
	arm_count_once(t, why);
}

void arm_resume_other(struct thread *t)
{
	if (!move_state(t, THREAD_PAUSED, THREAD_BUSY))
		return;
	if (t->timer >= 0)
		timer_resume(t);
	leave_busy(t, t->timer >= 0 ? THREAD_ARMED : THREAD_UNARMED);
}

void arm_change_period(struct thread *t, int64_t period_ns)
{
	if (!move_state(t, THREAD_ARMED, THREAD_BUSY))
		return;
	timer_change_period(t, period_ns);
	leave_busy(t, THREAD_ARMED);
}

static void delete_timer(struct thread *t)
{
	if (t->timer >= 0)
		timer_delete_of(t);
}

/* ENDED only without its timer: a thread that finds ENDED thinks that no tick can come. */
void arm_end(struct thread *t)
{
	int was;

	if (move_state(t, THREAD_ARMED, THREAD_BUSY) || move_state(t, THREAD_PAUSED, THREAD_BUSY))
		delete_timer(t);
	was = atomic_exchange(&t->state, THREAD_ENDED);
	if (was == THREAD_ARMED || was == THREAD_PAUSED)
		delete_timer(t);
}

/* ---- around a change of mask */

/* Takes what waits for this thread; what is no tick of ours is queued again, behind the others. */
static bool drop_one(int signal)
{
	const struct timespec at_once = { 0, 0 };
	uint64_t mask = 1ULL << (signal - 1);
	siginfo_t info;

	if (sys_call4(SYS_rt_sigtimedwait, (long)&mask, (long)&info, (long)&at_once,
		      sizeof(mask)) != signal)
		return false;
	if (info.si_code != SI_TIMER || !thread_from_cookie(info.si_value.sival_ptr))
		sys_call4(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), signal, (long)&info);
	return true;
}

/* Two timers can target one thread (a profile's and a dump's), and libc's own may wait before
 * them: it comes by again. */
void arm_drop_pending(int signal)
{
	for (int i = 0; i < 4 && signal && drop_one(signal); i++)
		;
}

/*
 * The listener is making a timer call about this record.  The hook waits 20 times 0.1 ms at
 * most: beside a thread of the highest priority the listener may never get a CPU.
 */
static void wait_while_busy(struct thread *t)
{
	const struct timespec moment = { 0, 100000 };

	for (int i = 0; i < 20; i++) {
		if (atomic_load(&t->state) != THREAD_BUSY)
			return;
		sys_call4(SYS_futex, (long)&t->state, FUTEX_WAIT_PRIVATE, THREAD_BUSY,
			  (long)&moment);
	}
	counter_add(COUNTER_CPU_TIMER_WAITS_TIMED_OUT, 1);
}

void arm_pause(struct thread *t)
{
	if (move_state(t, THREAD_ARMED, THREAD_PAUSED))
		timer_pause(t);
}

void arm_pause_late(struct thread *t, int signal)
{
	if (atomic_load(&t->state) == THREAD_PAUSED || move_state(t, THREAD_UNARMED, THREAD_PAUSED))
		return;
	wait_while_busy(t);
	if (move_state(t, THREAD_ARMED, THREAD_PAUSED))
		timer_pause(t);
	else
		move_state(t, THREAD_UNARMED, THREAD_PAUSED);
	arm_drop_pending(signal);
}

/* Paused before it ever had a timer: the listener may give it one now. */
void arm_resume_self(struct thread *t)
{
	if (atomic_load(&t->state) != THREAD_PAUSED)
		return;
	if (t->timer < 0)
		move_state(t, THREAD_PAUSED, THREAD_UNARMED);
	else if (move_state(t, THREAD_PAUSED, THREAD_ARMED))
		timer_resume(t);
}

/* ---- dumps */

bool arm_once(struct thread *t, int signal)
{
	enum counter why;
	bool started = !takes_no_tick(t, signal, &why) &&
		       move_state(t, THREAD_UNARMED, THREAD_BUSY) &&
		       timer_start_once(t, signal) == 0;

	/* release: whoever sees ARMED sees the timer */
	atomic_store_explicit(&t->state, started ? THREAD_ARMED : THREAD_ENDED,
			      memory_order_release);
	return started;
}

bool arm_end_once(struct thread *t)
{
	if (!move_state(t, THREAD_ARMED, THREAD_ENDED))
		return false;
	timer_delete_of(t);
	return true;
}

bool arm_end_once_late(struct thread *t, int signal)
{
	bool ended;

	if (move_state(t, THREAD_UNARMED, THREAD_ENDED))
		return false; /* arm_once() sees it and says so */
	wait_while_busy(t);
	ended = arm_end_once(t);
	if (ended)
		arm_drop_pending(signal);
	return ended;
}
