#include "sampler/cpu/timers.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/nursery.h"

int64_t thread_cpu_ns(int tid)
{
	struct timespec ts;

	if (sys_call3(SYS_clock_gettime, sys_thread_clock(tid), (long)&ts, 0) != 0)
		return -1;
	return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static __thread uint64_t random_state;

/* xorshift64*: where in a period the first tick falls; any fair spread will do. */
static uint64_t random_below(uint64_t limit)
{
	uint64_t x = random_state;

	if (!x)
		x = ((uint64_t)sys_now_ns() * 0x9e3779b97f4a7c15ULL ^ (uint64_t)sys_gettid()) | 1;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random_state = x;
	return (x * 0x2545f4914f6cdd1dULL >> 11) % limit;
}

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ ns / NS_PER_SECOND, ns % NS_PER_SECOND };
}

static int set_timer(const struct thread *t, int64_t first_ns, int64_t period_ns,
		     struct itimerspec *old)
{
	struct itimerspec when = { .it_interval = timespec_of(period_ns),
				   .it_value = timespec_of(first_ns) };

	return (int)sys_call4(SYS_timer_settime, t->timer, 0, (long)&when, (long)old);
}

/* The resolution of the coarse clocks. */
int64_t scheduler_tick_ns(void)
{
	struct timespec ts = { 0 };

	sys_call3(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, (long)&ts, 0);
	return MAX(ts.tv_sec * NS_PER_SECOND + ts.tv_nsec, 1);
}

/*
 * The kernel looks at these timers only when a scheduler tick meets the thread
 * running, so what is sampled are scheduler ticks, at a random phase, each of which
 * stands for the CPU time of one.  For threads of any length to be counted in
 * proportion, each scheduler tick of the first period must have the same chance to
 * be the one that fires: so the first expiry is a whole number of them.  (Uniform in
 * the period, a thread of 2 ms on a kernel that ticks every 4 ms would be counted at
 * a quarter of its time.)  With a shorter period every scheduler tick fires; then
 * the first stands for a whole one, whatever part of it the thread had run.
 *
 * A thread that a scan found has run for a while, and may soon be gone: the first
 * scheduler tick that meets it is taken.  (Such threads are weighed among themselves.)
 */
static int64_t first_expiry(struct thread *t, int64_t period_ns)
{
	int64_t step = scheduler_tick_ns();

	t->first_weight_ns = MAX(period_ns, step);
	if (t->late)
		return 1;
	return 1 + (int64_t)random_below((uint64_t)period_ns) / step * step;
}

static atomic_long timers_live;
static long timers_max = LONG_MAX;

void timers_budget(void)
{
	struct rlimit limit;

	if (sys_call4(SYS_prlimit64, 0, RLIMIT_SIGPENDING, 0, (long)&limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		timers_max = (long)(limit.rlim_cur / 4);
}

bool timers_kill(void)
{
	struct rlimit limit;

	return sys_call4(SYS_prlimit64, 0, RLIMIT_RTTIME, 0, (long)&limit) == 0 &&
	       limit.rlim_cur == 0;
}

/* Children are not to have their first ticks where their parent had its next one. */
void timers_after_fork(void)
{
	random_state = 0;
	timers_live = 0;
}

static int create_timer(struct thread *t, int signal)
{
	struct sigevent ev;

	memset(&ev, 0, sizeof(ev));
	ev.sigev_notify = SIGEV_THREAD_ID;
	ev.sigev_signo = signal;
	ev.sigev_value.sival_ptr = t;
	ev._sigev_un._tid = t->tid;
	return (int)sys_call3(SYS_timer_create, sys_thread_clock(t->tid), (long)&ev,
			      (long)&t->timer);
}

static int create_within_budget(struct thread *t, int signal)
{
	int err = -EAGAIN;

	if (!process_is_ours() && !nursery_is_joined())
		return -EPERM; /* a child would get ticks for its parent's ring */
	if (atomic_fetch_add_explicit(&timers_live, 1, memory_order_relaxed) < timers_max)
		err = create_timer(t, signal);
	if (err)
		atomic_fetch_sub_explicit(&timers_live, 1, memory_order_relaxed);
	return err;
}

static NOINLINE int set_new(struct thread *t, int64_t first_ns, int64_t period_ns)
{
	int err = set_timer(t, first_ns, period_ns, NULL);

	if (err)
		timer_delete_of(t);
	return err;
}

int timer_start(struct thread *t, int signal, int64_t period_ns)
{
	int err = create_within_budget(t, signal);

	t->period_ns = period_ns;
	return err ? err : set_new(t, first_expiry(t, period_ns), period_ns);
}

int timer_start_once(struct thread *t, int signal)
{
	int err = create_within_budget(t, signal);

	t->period_ns = 0;
	t->first_weight_ns = 0;
	return err ? err : set_new(t, 1, 0);
}

int timer_change_period(struct thread *t, int64_t period_ns)
{
	t->period_ns = period_ns;
	return set_timer(t, first_expiry(t, period_ns), period_ns, NULL);
}

void timer_delete_of(struct thread *t)
{
	sys_call3(SYS_timer_delete, t->timer, 0, 0);
	t->timer = -1;
	atomic_fetch_sub_explicit(&timers_live, 1, memory_order_relaxed);
}

void timer_pause(struct thread *t)
{
	struct itimerspec old = { .it_value = { 0, 1 } };

	set_timer(t, 0, 0, &old);
	t->paused_left_ns = old.it_value.tv_sec * NS_PER_SECOND + old.it_value.tv_nsec;
}

void timer_resume(struct thread *t)
{
	set_timer(t, MAX(t->paused_left_ns, 1), t->period_ns, NULL);
}

void timer_postpone(struct thread *t)
{
	set_timer(t, t->period_ns, t->period_ns, NULL);
}
