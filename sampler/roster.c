#include "sampler/roster.h"

#include <signal.h>

#include "sampler/capture.h"
#include "sampler/counters.h"
#include "sampler/sandbox.h"
#include "sampler/stack_bounds.h"
#include "sampler/sys.h"
#include "sampler/tasks.h"
#include "sampler/timers.h"
#include "shim/cc.h"

static struct {
	atomic_int signal; /* the carrier, 0 while closed */
	_Atomic int64_t period_ns;
	atomic_int hooks_inside;	  /* hooks that may be using a record */
	_Atomic int64_t newborn_ended_ns; /* CPU time of newborn threads that are gone */
	int listener_tid;
	struct roster_counts counts;
} roster;

bool roster_is_open(void)
{
	return atomic_load_explicit(&roster.signal, memory_order_acquire) != 0;
}

static int carrier(void)
{
	return atomic_load_explicit(&roster.signal, memory_order_acquire);
}

static int64_t period(void)
{
	return atomic_load_explicit(&roster.period_ns, memory_order_relaxed);
}

/* Leaves a state for another only if nobody else did; the winner owns the timer. */
static bool move(struct thread *t, int from, int to)
{
	return atomic_compare_exchange_strong_explicit(&t->state, &from, to, memory_order_acq_rel,
						       memory_order_relaxed);
}

/* ---- arming */

static uint64_t bit_of(int signal)
{
	return 1ULL << (signal - 1);
}

static void count_once(struct thread *t, enum counter c)
{
	if (!t->counted)
		counter_add(c, 1);
	t->counted = true;
}

static void take_known_stack(struct thread *t)
{
	struct stack_bounds b;

	atomic_store_explicit(&t->slice_limit, SLICE_BYTES, memory_order_relaxed);
	if (stack_bounds_of_main(t->tid, &b)) {
		atomic_store_explicit(&t->stack_lo, b.lo, memory_order_relaxed);
		/* release: pairs with the acquire in capture.c; lo is there before hi */
		atomic_store_explicit(&t->stack_hi, b.hi, memory_order_release);
	}
}

/* The timer may fire before the state says ARMED; the handler does not look at the state. */
static void arm(struct thread *t)
{
	if (timer_start(t, carrier(), period()) != 0)
		return count_once(t, COUNTER_CPU_TIMERS_REFUSED);
	if (!move(t, THREAD_UNARMED, THREAD_ARMED))
		timer_delete_of(t);
}

static void arm_other(struct thread *t)
{
	if (task_blocks_signal(t->tid, carrier()))
		count_once(t, COUNTER_CPU_THREADS_BLOCKED);
	else
		arm(t);
}

static void adopt(int tid)
{
	struct thread *t = thread_claim(tid);

	if (!t)
		return counter_add(COUNTER_CPU_THREADS_UNTRACKED, 1);
	take_known_stack(t);
	t->cpu_seen_ns = MAX(thread_cpu_ns(tid), 0);
	arm_other(t);
}

/* ---- watching */

bool roster_watch(int tid, uint32_t watch, int signal)
{
	struct thread *t;

	if (task_blocks_signal(tid, signal))
		return false;
	t = thread_claim_watched(tid, watch);
	if (!t)
		return false;
	take_known_stack(t);
	if (timer_start_once(t, signal) != 0) {
		thread_recycle(t);
		return false;
	}
	atomic_store_explicit(&t->state, THREAD_ARMED, memory_order_release);
	return true;
}

/* A tick may still be on its way, so the record is not anybody else's before the next dump. */
static void unwatch_each(struct thread *t, void *watch)
{
	bool is_armed = atomic_load_explicit(&t->state, memory_order_relaxed) == THREAD_ARMED;

	if (t->watch != *(const uint32_t *)watch || !is_armed)
		return;
	timer_delete_of(t);
	thread_end(t);
}

void roster_unwatch(uint32_t watch)
{
	threads_each(unwatch_each, &watch);
}

static void recycle_each(struct thread *t, void *unused)
{
	(void)unused;
	if (t->watch && atomic_load_explicit(&t->state, memory_order_relaxed) == THREAD_ENDED)
		thread_recycle(t);
}

bool roster_watch_begins(void)
{
	if (threads_open() != 0)
		return false;
	timers_budget();
	threads_each(recycle_each, NULL);
	return true;
}

/* ---- ending */

static void end(struct thread *t)
{
	int was = atomic_exchange_explicit(&t->state, THREAD_ENDED, memory_order_acq_rel);

	if (was == THREAD_ARMED || was == THREAD_PARKED)
		timer_delete_of(t);
}

/* `cpu_ns`: what the thread's clock said last. */
static void end_at(struct thread *t, int64_t cpu_ns)
{
	if (t->newborn)
		atomic_fetch_add_explicit(&roster.newborn_ended_ns, cpu_ns, memory_order_relaxed);
	end(t);
}

static void end_each(struct thread *t, void *unused)
{
	(void)unused;
	if (!t->watch)
		end(t);
}

/* ---- scanning */

/* tid -> record, for one scan; open addressing. */
#define SEEN_SLOTS (2 * THREADS_MAX)

struct scan {
	struct thread **slot; /* SEEN_SLOTS */
	bool listed;	      /* /proc named every thread */
};

static struct thread **slot_of(struct scan *s, int tid)
{
	uint32_t at = (uint32_t)tid * 2654435761U;

	while (s->slot[at % SEEN_SLOTS] && s->slot[at % SEEN_SLOTS]->tid != tid)
		at++;
	return &s->slot[at % SEEN_SLOTS];
}

/* Two records of one thread: it started and armed itself while we were looking.  One goes. */
static void index_record(struct thread *t, void *arg)
{
	struct thread **slot = slot_of(arg, t->tid);

	if (t->watch)
		return;
	t->found = false;
	if (atomic_load_explicit(&t->state, memory_order_acquire) == THREAD_ENDED)
		return thread_recycle(t);
	if (*slot)
		end(t);
	else
		*slot = t;
}

static void see_tid(int tid, void *arg)
{
	struct scan *s = arg;
	struct thread *t = *slot_of(s, tid);

	if (t)
		t->found = true;
	else if (tid != roster.listener_tid)
		adopt(tid);
}

/* It used CPU time and no tick came: does it block the signal, behind our hooks? */
static void check_armed(struct thread *t, int64_t used_ns)
{
	if (t->ticks_seen || used_ns <= 4 * t->period_ns || !task_blocks_signal(t->tid, carrier()))
		return;
	if (move(t, THREAD_ARMED, THREAD_UNARMED)) {
		timer_delete_of(t);
		count_once(t, COUNTER_CPU_THREADS_BLOCKED);
	}
}

static void check_record(struct thread *t, void *arg)
{
	const struct scan *s = arg;
	int64_t cpu = thread_cpu_ns(t->tid);
	int64_t used = cpu - t->cpu_seen_ns;
	int state = atomic_load_explicit(&t->state, memory_order_acquire);

	if (t->watch)
		return;
	if (cpu < 0 || (s->listed && !t->found))
		return end_at(t, t->cpu_seen_ns);
	if (state == THREAD_ARMED)
		check_armed(t, used);
	else if (state == THREAD_UNARMED && used > t->period_ns)
		arm_other(t);
	roster.counts.armed += state == THREAD_ARMED;
	roster.counts.unarmed += state == THREAD_UNARMED;
	t->cpu_seen_ns = cpu;
	t->ticks_seen = 0;
}

/* Without /proc only the main thread and those that we saw start are known (H57). */
static void index_and_look(struct scan *s)
{
	threads_each(index_record, s);
	s->listed = tasks_each(see_tid, s);
	if (!s->listed)
		see_tid(sys_getpid(), s);
	roster.counts = (struct roster_counts){ 0 };
	threads_each(check_record, s);
}

void roster_scan(void)
{
	struct scan s = { .slot = sys_map(SEEN_SLOTS * sizeof(*s.slot)) };

	if (!s.slot)
		return counter_add(COUNTER_ARENA_REFUSED, 1);
	index_and_look(&s);
	sys_unmap(s.slot, SEEN_SLOTS * sizeof(*s.slot));
	stack_bounds_resolve();
}

/* ---- life */

int roster_open(int signal, int64_t period_ns)
{
	if (threads_open() != 0)
		return -1;
	timers_budget();
	roster.listener_tid = sys_gettid();
	atomic_store_explicit(&roster.period_ns, period_ns, memory_order_relaxed);
	/* release: hooks that see the signal see the region and the period */
	atomic_store_explicit(&roster.signal, signal, memory_order_release);
	roster_scan();
	return 0;
}

void roster_close(void)
{
	atomic_store(&roster.signal, 0);
	threads_each(end_each, NULL);
}

bool roster_is_quiet(void)
{
	return atomic_load(&roster.hooks_inside) == 0;
}

void roster_release(void)
{
	threads_each(end_each, NULL); /* who armed itself while we were closing */
	threads_close();
}

void roster_after_fork(void)
{
	atomic_store(&roster.signal, 0);
	atomic_store(&roster.hooks_inside, 0);
	roster.counts = (struct roster_counts){ 0 };
	threads_after_fork();
	timers_after_fork();
}

static void change_period_of(struct thread *t, void *arg)
{
	if (!t->watch && atomic_load_explicit(&t->state, memory_order_acquire) == THREAD_ARMED)
		timer_change_period(t, *(const int64_t *)arg);
}

void roster_change_period(int64_t period_ns)
{
	atomic_store_explicit(&roster.period_ns, period_ns, memory_order_relaxed);
	threads_each(change_period_of, &period_ns);
}

static void add_newborn(struct thread *t, void *sum)
{
	if (t->newborn && !t->watch &&
	    atomic_load_explicit(&t->state, memory_order_acquire) != THREAD_ENDED)
		*(int64_t *)sum += MAX(thread_cpu_ns(t->tid), 0);
}

int64_t roster_newborn_ns(void)
{
	int64_t sum = 0;

	threads_each(add_newborn, &sum);
	return sum + atomic_load_explicit(&roster.newborn_ended_ns, memory_order_relaxed);
}

struct roster_counts roster_count(void)
{
	return roster.counts;
}

/* ---- hooks */

static bool i_block(int signal)
{
	uint64_t mask = 0;

	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, sizeof(mask));
	return mask & bit_of(signal);
}

static void start_self(void)
{
	struct thread *t = thread_claim(sys_gettid());

	if (!t)
		return counter_add(COUNTER_CPU_THREADS_UNTRACKED, 1);
	t->newborn = true;
	take_known_stack(t);
	thread_remember_self(t);
	if (i_block(carrier()))
		count_once(t, COUNTER_CPU_THREADS_BLOCKED);
	else
		arm(t);
}

static void end_self(void)
{
	struct thread *t = thread_self();

	if (t)
		end_at(t, sys_clock_ns(CLOCK_THREAD_CPUTIME_ID));
}

static void park_self(void)
{
	struct thread *t = thread_self();

	if (t && move(t, THREAD_ARMED, THREAD_PARKED))
		timer_park(t);
}

static void unpark_self(void)
{
	struct thread *t = thread_self();

	if (t && move(t, THREAD_PARKED, THREAD_ARMED))
		timer_unpark(t);
}

/* Takes what waits for this thread; what is no tick of ours is queued again. */
static void take_pending(int signal)
{
	const struct timespec at_once = { 0, 0 };
	uint64_t mask = bit_of(signal);
	siginfo_t info;

	if (sys_call4(SYS_rt_sigtimedwait, (long)&mask, (long)&info, (long)&at_once,
		      sizeof(mask)) != signal)
		return;
	if (info.si_code != SI_TIMER || !thread_from_cookie(info.si_value.sival_ptr))
		sys_call4(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), signal, (long)&info);
}

static void postpone_self(void)
{
	struct thread *t = thread_self();

	if (!t || atomic_load_explicit(&t->state, memory_order_acquire) != THREAD_ARMED)
		return;
	timer_postpone(t);
	take_pending(carrier());
}

/*
 * A filtered thread makes no call of ours: the listener will find it.  Its timer
 * then goes on while it blocks the signal, and the next scan stops it.
 *
 * seq_cst on both words: either we see the roster closed, or roster_is_quiet()
 * sees us inside and the records stay.
 */
static void while_open(void (*fn)(void))
{
	atomic_fetch_add(&roster.hooks_inside, 1);
	if (atomic_load(&roster.signal) && !sandbox_is_noted())
		fn();
	atomic_fetch_sub(&roster.hooks_inside, 1);
}

void roster_thread_starts(void)
{
	while_open(start_self);
}

void roster_thread_ends(void)
{
	while_open(end_self);
}

void roster_thread_blocks(void)
{
	while_open(park_self);
}

void roster_thread_unblocks(void)
{
	while_open(unpark_self);
}

void roster_thread_jumps(void)
{
	while_open(postpone_self);
}
