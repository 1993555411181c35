/*
 * Who calls this: cpu.c on the listener opens, scans and closes; the hooks of thread
 * starts and ends and of mask changes call roster_thread_*() for the calling thread.
 *
 * The one structure is `roster`; the records themselves are in process/threads.c, the
 * moves of a record's state in arm.c (docs/PROTOCOLS.md, "Thread record").
 *
 * The one order that matters: a hook counts itself into `hooks_inside` before it looks
 * whether the roster is open, and the listener closes the roster before it asks whether
 * anybody is inside.  So records are given back under nobody.
 */
#include "sampler/cpu/roster.h"

#include <signal.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/alternate_stacks.h"
#include "sampler/cpu/arm.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/nursery.h"
#include "sampler/cpu/timers.h"
#include "sampler/process/own_stack.h"
#include "sampler/process/stack_bounds.h"
#include "sampler/process/tasks.h"
#include "sampler/unwind/capture.h"

static struct {
	atomic_int accepting_signal; /* new threads get a timer with it; 0 while closed */
	atomic_int live_signal;	     /* some timer with it may still exist; then 0 */
	atomic_int last_signal; /* the last of those, never 0 again: late ticks are dropped by it */
	_Atomic int64_t period_ns;
	atomic_int hooks_inside; /* hooks that may be using a record */
	atomic_bool scanning;	 /* the listener may be claiming records */
	atomic_bool retired;	 /* no timer is started any more */
	atomic_uint newborn;	 /* records that threads claimed for themselves */
	unsigned newborn_seen;	 /* of those, when the scan began */
	int listener_tid;
	bool opening;	  /* the first scan, which finds threads that were there before */
	bool retrying;	  /* one soon after it */
	int64_t known_ns; /* CPU time of known threads since then, at the last scan */
	struct roster_counts counts;
} roster;

bool roster_is_open(void)
{
	return atomic_load_explicit(&roster.accepting_signal, memory_order_acquire) != 0;
}

bool roster_is_here(void)
{
	return process_is_ours() || (nursery_is_joined() && process_is_in_order());
}

static int carrier(void)
{
	return atomic_load_explicit(&roster.accepting_signal, memory_order_acquire);
}

static int64_t period(void)
{
	return atomic_load_explicit(&roster.period_ns, memory_order_relaxed);
}

/* ---- arming */

/* hi 0: not known. */
static void take_stack(struct thread *t, uint64_t lo, uint64_t hi)
{
	atomic_store_explicit(&t->slice_limit, SLICE_BYTES, memory_order_relaxed);
	atomic_store_explicit(&t->stack_lo, lo, memory_order_relaxed);
	/* release: pairs with the acquire in capture_handler.c; lo is there before hi */
	atomic_store_explicit(&t->stack_hi, hi, memory_order_release);
}

static void take_known_stack(struct thread *t)
{
	struct stack_bounds b = { 0 };

	stack_bounds_of_main(t->tid, &b);
	take_stack(t, b.lo, b.hi);
}

/* It knows its own better: its first ticks need no copy by the kernel. */
static void take_own_stack(struct thread *t)
{
	struct own_stack own = own_stack();

	take_stack(t, own.lo, own.hi);
}

static void add_thread(int tid)
{
	struct thread *t = thread_claim(tid);

	if (!t) {
		counter_add(COUNTER_CPU_THREADS_UNTRACKED, 1);
		return;
	}
	if (atomic_load(&roster.newborn) != roster.newborn_seen && thread_twin(t)) {
		t->accounted = true;
		arm_end(t);
		return;
	}
	take_known_stack(t);
	t->late = !roster.opening;
	t->cpu_seen_ns = MAX(thread_cpu_ns(tid), 0);
	roster.known_ns += t->late ? t->cpu_seen_ns : 0;
	t->met_ns = t->late ? 0 : t->cpu_seen_ns;
	arm_other(t, carrier(), period());
	if (atomic_load(&roster.retired))
		arm_end(t); /* roster_retire() may not have seen it */
}

/* ---- one tick for a dump */

/* Timers of dumps that are out.  Counted before a thread's mask is looked at: see arm.h. */
static atomic_int once_timers;

bool roster_may_tick(void)
{
	return atomic_load_explicit(&roster.live_signal, memory_order_acquire) != 0 ||
	       atomic_load_explicit(&once_timers, memory_order_acquire) != 0;
}

/* By the listener, or by the thread itself, whoever comes first. */
static void end_once(struct thread *t)
{
	if (arm_end_once(t))
		atomic_fetch_sub(&once_timers, 1);
}

static bool start_once(struct thread *t, int signal)
{
	take_known_stack(t);
	if (arm_once(t, signal))
		return true;
	thread_recycle(t);
	return false;
}

bool roster_tick_once(int tid, uint32_t dump_id, int signal)
{
	struct thread *t;

	atomic_store(&roster.last_signal, signal);
	atomic_fetch_add(&once_timers, 1);
	t = thread_claim_once(tid, dump_id);
	if (t && start_once(t, signal))
		return true;
	atomic_fetch_sub(&once_timers, 1);
	return false;
}

/* A tick may still be on its way, so the record is not anybody else's before the next dump. */
static void end_once_of_dump(struct thread *t, void *dump_id)
{
	if (t->dump_id == *(const uint32_t *)dump_id)
		end_once(t);
}

void roster_end_once(uint32_t dump_id)
{
	threads_each(end_once_of_dump, &dump_id);
}

static void recycle_each(struct thread *t, void *unused)
{
	(void)unused;
	if (t->dump_id && atomic_load_explicit(&t->state, memory_order_relaxed) == THREAD_ENDED)
		thread_recycle(t);
}

bool roster_ready_once(void)
{
	if (atomic_load(&roster.retired) || threads_open() != 0)
		return false;
	timers_budget();
	threads_each(recycle_each, NULL);
	return true;
}

/* ---- ending */

/* `cpu_ns`: what the thread's clock said last. */
static void end_at(struct thread *t, int64_t cpu_ns)
{
	t->final_ns = cpu_ns;
	arm_end(t);
}

static void end_each(struct thread *t, void *unused)
{
	(void)unused;
	if (t->dump_id)
		return;
	arm_end(t);
	t->accounted = true; /* no profile is left */
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

static bool has_ended(const struct thread *t)
{
	return atomic_load_explicit(&t->state, memory_order_acquire) == THREAD_ENDED;
}

/* One that has ended and is not accounted for keeps its number: it may be on its way out. */
static void index_record(struct thread *t, void *arg)
{
	struct thread **slot = slot_of(arg, t->tid);

	if (t->dump_id)
		return;
	t->found = false;
	if (has_ended(t)) {
		if (t->accounted) {
			thread_recycle(t);
			return;
		}
	} else if (*slot && has_ended(*slot)) {
		*slot = t; /* the number is another thread's now */
	}
	if (!*slot || (t->newborn && !has_ended(t))) /* of twins, the thread's own */
		*slot = t;
}

static void see_tid(int tid, void *arg)
{
	struct scan *s = arg;
	struct thread *t = *slot_of(s, tid);

	if (t)
		t->found = true;
	else if (tid != roster.listener_tid)
		add_thread(tid);
}

/* A mask that was restored by a jump is told to no hook. */
static void check_paused(struct thread *t, int64_t used_ns)
{
	if (used_ns > t->period_ns && arm_may_tick(t, carrier()))
		arm_resume_other(t);
}

/*
 * It used CPU time and no tick came: does it block the signal, behind our hooks?  And
 * the memory of its alternate stack may have been given back.
 */
static void check_armed(struct thread *t, int64_t used_ns)
{
	if (!alternate_stack_is_usable(t->tid))
		arm_undo(t, COUNTER_CPU_THREADS_SMALL_STACK);
	else if (!t->ticks_seen && used_ns > 4 * t->period_ns &&
		 task_blocks_signal(t->tid, carrier()))
		arm_undo(t, COUNTER_CPU_THREADS_BLOCKED);
}

static void check_record(struct thread *t, void *arg)
{
	const struct scan *s = arg;
	int64_t cpu = thread_cpu_ns(t->tid);
	int64_t used = cpu - t->cpu_seen_ns;
	int state = atomic_load_explicit(&t->state, memory_order_acquire);

	if (t->dump_id || state == THREAD_ENDED)
		return;
	if (cpu < 0 || (s->listed && !t->found)) {
		t->gone = true;
		end_at(t, t->cpu_seen_ns);
		return;
	}
	if (state == THREAD_ARMED)
		check_armed(t, used);
	else if (state == THREAD_PAUSED)
		check_paused(t, used);
	else if (state == THREAD_UNARMED && (used > t->period_ns || roster.retrying))
		arm_other(t, carrier(), period());
	roster.counts.armed += state == THREAD_ARMED;
	roster.counts.unarmed += state == THREAD_UNARMED;
	if (t->ticks_seen)
		t->met_ns = cpu;
	roster.known_ns += used;
	t->cpu_seen_ns = cpu;
	t->ticks_seen = 0;
}

/* Without /proc only the main thread and those that we saw start are known (H57). */
static void index_and_look(struct scan *s)
{
	atomic_store(&roster.scanning, true);
	roster.newborn_seen = atomic_load(&roster.newborn);
	threads_each(index_record, s);
	s->listed = tasks_each_known(see_tid, s);
	roster.counts = (struct roster_counts){ 0 };
	threads_each(check_record, s);
	atomic_store(&roster.scanning, false);
}

void roster_scan(void)
{
	struct scan s = { .slot = NULL };

	if (atomic_load(&roster.retired))
		return;
	s.slot = sys_map(SEEN_SLOTS * sizeof(*s.slot));
	if (!s.slot) {
		counter_add(COUNTER_ARENA_REFUSED, 1);
		return;
	}
	index_and_look(&s);
	sys_unmap(s.slot, SEEN_SLOTS * sizeof(*s.slot));
	stack_bounds_resolve();
}

/* Who blocked the signal for a moment only has used nothing since, maybe, and will. */
void roster_scan_again(void)
{
	roster.retrying = true;
	roster_scan();
	roster.retrying = false;
}

/* ---- life */

static void end_young(void)
{
	atomic_store(&roster.accepting_signal, 0);
	threads_each(end_each, NULL);
}

int roster_open(int signal, int64_t period_ns)
{
	if (nursery_is_joined()) {
		end_young();
		nursery_leave();
	}
	if (atomic_load(&roster.retired) || threads_open() != 0)
		return -1;
	timers_budget();
	roster.listener_tid = sys_gettid();
	atomic_store_explicit(&roster.period_ns, period_ns, memory_order_relaxed);
	atomic_store(&roster.last_signal, signal);
	/* release: hooks that see the signal see the region and the period */
	atomic_store_explicit(&roster.live_signal, signal, memory_order_release);
	atomic_store_explicit(&roster.accepting_signal, signal, memory_order_release);
	roster.opening = true;
	roster.known_ns = 0;
	roster_scan();
	roster.opening = false;
	return 0;
}

void roster_close(void)
{
	atomic_store(&roster.accepting_signal, 0);
	threads_each(end_each, NULL);
	atomic_store(&roster.live_signal, 0);
}

void roster_quit_young(void)
{
	atomic_fetch_add(&roster.hooks_inside, 1);
	if (nursery_is_joined()) {
		end_young();
		nursery_quit();
		action_masks_take_out();
	}
	atomic_fetch_sub(&roster.hooks_inside, 1);
}

static void retire_each(struct thread *t, void *unused)
{
	(void)unused;
	if (t->dump_id)
		end_once(t);
	else
		arm_end(t);
}

void roster_retire(void)
{
	atomic_fetch_add(&roster.hooks_inside, 1);
	atomic_store(&roster.retired, true);
	atomic_store(&roster.accepting_signal, 0);
	threads_each(retire_each, NULL);
	atomic_store(&roster.live_signal, 0);
	atomic_fetch_sub(&roster.hooks_inside, 1);
}

bool roster_is_quiet(void)
{
	/* below 0: a child, forked by a handler that had interrupted a hook, has left it too */
	return atomic_load(&roster.hooks_inside) <= 0;
}

void roster_release(void)
{
	threads_close();
}

void roster_after_fork(void)
{
	atomic_store(&roster.accepting_signal, 0);
	atomic_store(&roster.live_signal, 0);
	atomic_store(&once_timers, 0);
	atomic_store(&roster.hooks_inside, 0);
	atomic_store(&roster.scanning, false);
	roster.counts = (struct roster_counts){ 0 };
	alternate_stacks_after_fork();
	threads_after_fork();
	timers_after_fork();
}

static void change_period_of(struct thread *t, void *arg)
{
	if (!t->dump_id)
		arm_change_period(t, *(const int64_t *)arg);
}

void roster_change_period(int64_t period_ns)
{
	atomic_store_explicit(&roster.period_ns, period_ns, memory_order_relaxed);
	threads_each(change_period_of, &period_ns);
}

int64_t roster_known_ns(void)
{
	return roster.known_ns;
}

static void settle_record(struct thread *t, void *account)
{
	if (t->dump_id || t->accounted || !has_ended(t))
		return;
	if (t->ended_seen) {
		roster.known_ns += MAX(t->final_ns - t->cpu_seen_ns, 0);
		(*(void (**)(const struct thread *))account)(t);
		t->accounted = true;
	}
	t->ended_seen = true;
}

void roster_settle_ended(void (*account)(const struct thread *t))
{
	threads_each(settle_record, (void *)&account);
}

struct roster_counts roster_count(void)
{
	return roster.counts;
}

/* ---- hooks */

/*
 * A thread that starts and the listener's scan may both have claimed a record for it.
 * The thread's own is kept, since its hooks stop that one's timer.  A scan that starts
 * later finds it in the table; one under way compares `roster.newborn` with what it was
 * when the scan began, and ends its own.
 */
static void end_twin(const struct thread *t)
{
	struct thread *twin;

	atomic_fetch_add(&roster.newborn, 1);
	twin = atomic_load(&roster.scanning) ? thread_twin(t) : NULL;
	if (twin) {
		twin->accounted = true;
		arm_end(twin);
	}
}

/* `blocked`: the mask that the thread will run with. */
static void start_self(uint64_t blocked)
{
	struct thread *t = thread_claim(sys_gettid());

	if (!t) {
		counter_add(COUNTER_CPU_THREADS_UNTRACKED, 1);
		return;
	}
	t->newborn = true;
	t->born_at_ns = sys_now_ns();
	end_twin(t);
	take_own_stack(t);
	thread_remember_self(t);
	if (blocked >> (atomic_load(&roster.last_signal) - 1) & 1)
		arm_count_once(t, COUNTER_CPU_THREADS_BLOCKED);
	else if (!carrier_may_reach(t->tid))
		arm_count_once(t, COUNTER_CPU_THREADS_STACK_UNSEEN);
	else
		arm_self(t, atomic_load(&roster.last_signal), period());
	if (!atomic_load(&roster.accepting_signal))
		arm_end(t); /* roster_close() may not have seen it */
}

static void end_self(void)
{
	struct thread *t = thread_self();

	if (!t)
		return;
	t->ended_at_ns = sys_now_ns();
	end_at(t, sys_clock_ns(CLOCK_THREAD_CPUTIME_ID));
}

static void pause_self(void)
{
	struct thread *t = thread_self();

	if (t)
		arm_pause(t);
}

static void pause_self_late(void)
{
	struct thread *t = thread_self();

	if (t)
		arm_pause_late(t, atomic_load(&roster.last_signal));
	else
		arm_drop_pending(atomic_load(&roster.last_signal)); /* its record has ended */
}

static void resume_self(void)
{
	struct thread *t = thread_self();

	if (t && alternate_stack_has_room(t->tid))
		arm_resume_self(t);
}

static void postpone_self(void)
{
	struct thread *t = thread_self();

	if (!t || atomic_load_explicit(&t->state, memory_order_acquire) != THREAD_ARMED)
		return;
	timer_postpone(t);
	arm_drop_pending(atomic_load(&roster.last_signal));
}

/* In the order of roster_open(); the period is the parent's. */
void roster_begin_young(uint64_t blocked)
{
	if (atomic_load(&roster.retired) || threads_open() != 0 ||
	    !alternate_stack_is_usable_here(sys_gettid()))
		return;
	atomic_fetch_add(&roster.hooks_inside, 1);
	nursery_join();
	action_masks_put_in();
	atomic_store(&roster.live_signal, atomic_load(&roster.last_signal));
	atomic_store(&roster.accepting_signal, atomic_load(&roster.last_signal));
	start_self(blocked);
	atomic_fetch_sub(&roster.hooks_inside, 1);
}

/*
 * A filtered thread makes no call of ours: the listener will find it.  Its timer
 * then goes on while it blocks the signal, and the next scan stops it.
 *
 * seq_cst on both words: either we see it closed, or roster_is_quiet() sees us
 * inside and the records stay.
 */
static bool while_set(const atomic_int *word, void (*fn)(void))
{
	bool does;

	atomic_fetch_add(&roster.hooks_inside, 1);
	does = atomic_load(word) && !sandbox_is_noted();
	if (does)
		fn();
	atomic_fetch_sub(&roster.hooks_inside, 1);
	return does;
}

void roster_thread_starts(uint64_t blocked)
{
	alternate_stack_forget_self();
	atomic_fetch_add(&roster.hooks_inside, 1);
	if (atomic_load(&roster.accepting_signal) && !sandbox_is_noted())
		start_self(blocked);
	atomic_fetch_sub(&roster.hooks_inside, 1);
}

void roster_thread_ends(void)
{
	while_set(&roster.live_signal, end_self);
	alternate_stack_end_self();
}

static void end_once_of_thread(struct thread *t, void *tid)
{
	if (t->dump_id && t->tid == *(const int *)tid)
		end_once(t);
}

static void end_once_late_of_thread(struct thread *t, void *tid)
{
	if (t->dump_id && t->tid == *(const int *)tid &&
	    arm_end_once_late(t, atomic_load(&roster.last_signal)))
		atomic_fetch_sub(&once_timers, 1);
}

static void visit_tid(struct thread *t, void *fn)
{
	if (!t->dump_id && !has_ended(t))
		(*(void (**)(int))fn)(t->tid);
}

void roster_each_here(void (*fn)(int tid))
{
	atomic_fetch_add(&roster.hooks_inside, 1);
	if (atomic_load(&roster.live_signal))
		threads_each(visit_tid, (void *)&fn);
	atomic_fetch_sub(&roster.hooks_inside, 1);
}

/* A dump's tick must not come behind the mask; the dump goes without. */
static void end_own_once(void (*end)(struct thread *t, void *tid))
{
	atomic_fetch_add(&roster.hooks_inside, 1);
	if (atomic_load(&once_timers) && !sandbox_is_noted()) {
		int tid = sys_gettid();

		threads_each(end, &tid);
	}
	atomic_fetch_sub(&roster.hooks_inside, 1);
}

void roster_thread_blocks(void)
{
	while_set(&roster.live_signal, pause_self);
	if (UNLIKELY(atomic_load(&once_timers)))
		end_own_once(end_once_of_thread);
}

void roster_thread_blocked(void)
{
	if (!while_set(&roster.live_signal, pause_self_late) && !sandbox_is_noted())
		arm_drop_pending(atomic_load(&roster.last_signal)); /* it was open a moment ago */
	if (UNLIKELY(atomic_load(&once_timers)))
		end_own_once(end_once_late_of_thread);
}

/* Its frame is the first that is seen. */
static void forget_frame(void)
{
	struct thread *t = thread_self();

	if (t)
		atomic_store(&t->open_frame, 0);
}

void roster_thread_opens(void)
{
	while_set(&roster.live_signal, forget_frame);
	roster_thread_blocks();
	roster_thread_blocked();
}

void roster_thread_unblocks(void)
{
	while_set(&roster.live_signal, resume_self);
}

void roster_thread_jumps(void)
{
	while_set(&roster.live_signal, postpone_self);
}
