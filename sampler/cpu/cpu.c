/*
 * Who calls this: /debug/pprof/profile starts, stops and frees profiles; a thread dump
 * opens and closes its part; the listener calls cpu_do_due() before every poll.
 *
 * The one structure is `cpu`: the running profiles and dumps, and the one ring that all
 * ticks go to.  The sampler is open while a profile runs (the roster holds timers); the
 * ring is in use while it is open or a dump has a timer; its memory stays two seconds
 * longer.
 *
 * The one order that matters: ticks are directed to the ring before any timer starts,
 * and away from it after the last is deleted; memory goes back only when no handler and
 * no hook is inside (tick_is_quiet, roster_is_quiet).
 */
#include "sampler/cpu/cpu.h"

#include <stddef.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/account.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/hunt.h"
#include "sampler/cpu/look.h"
#include "sampler/cpu/nursery.h"
#include "sampler/cpu/reopen.h"
#include "sampler/cpu/roster.h"
#include "sampler/cpu/tick.h"
#include "sampler/cpu/timers.h"
#include "sampler/process/label_set.h"
#include "sampler/process/tasks.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/retrace.h"
#include "sampler/unwind/ring.h"

/* At 100 Hz on 64 busy cores and 8 KiB a capture it fills in 160 ms. */
#define RING_BYTES     (8UL << 20)
#define TOUCHED_BYTES  (128UL << 10) /* of it, for each thread */
#define PROFILE_BYTES  (24UL << 20)
#define DRAIN_EVERY_NS (50 * NS_PER_MS)
#define DRAIN_SOON_NS  (10 * NS_PER_MS)
/* Longer than most of a shell's commands live. */
#define TOUCH_LATE_NS (20 * NS_PER_MS)
/* How soon memory is given back after the last profile; a scraper's next one often follows at once.
 */
#define LINGER_NS (2 * NS_PER_SECOND)

static struct {
	struct cpu_profile *profiles; /* running */
	struct cpu_dump *dumps;	      /* open */
	uint32_t last_dump_id;	      /* given out last */
	struct ring ring;
	int hz;
	bool open;	   /* timers run */
	bool holds_memory; /* ring, records and rows are there */
	bool touches_late;
	int64_t touch_ns; /* when the ring is to be touched, 0: it is */
	int64_t opened_ns, next_scan_ns;
	int64_t give_back_ns;	      /* when, once closed */
	const char *_Atomic disabled; /* why no profile will ever be taken, NULL */
	const char *refusal;	      /* why the last start failed, NULL */
	struct walk walk;	      /* too large for the stack */
} cpu;

void cpu_disable(const char *why)
{
	cpu.disabled = why;
}

const char *cpu_refusal(void)
{
	return cpu.disabled ? cpu.disabled : cpu.refusal;
}

bool cpu_is_sampling(void)
{
	return cpu.open;
}

/* ---- samples */

/* A stack deeper than the copy: copy more of this thread's from now on. */
static void learn_from_walk(struct thread *t, const struct capture *c, const struct walk *w)
{
	uint32_t limit = atomic_load_explicit(&t->slice_limit, memory_order_relaxed);

	t->tp = c->tp;
	t->ticks_seen++;
	if (w->end == WALK_SLICE && c->on_known_stack && limit < SLICE_BYTES_MAX)
		atomic_store_explicit(&t->slice_limit, limit * 2, memory_order_relaxed);
}

/* A tick that comes after its dump is over is nobody's. */
static void give_to_dump(const struct thread *t)
{
	for (struct cpu_dump *d = cpu.dumps; d; d = d->next)
		if (d->id == t->dump_id)
			d->seen(d->arg, t->tid, &cpu.walk);
}

static void take_capture(const struct capture *c)
{
	if (!retrace(c, &cpu.walk))
		counter_add(COUNTER_CPU_STACKS_GONE, 1);
	walk_add_labels(&cpu.walk, c->labels);
	if (c->thread->dump_id) {
		give_to_dump(c->thread);
		return;
	}
	learn_from_walk(c->thread, c, &cpu.walk);
	counter_add(COUNTER_CPU_SAMPLES, 1);
	for (struct cpu_profile *p = cpu.profiles; p; p = p->next)
		account_tick(p, c, &cpu.walk);
}

/* Of a child, in which code lies where it lies here. */
static void take_of_child(const struct nursery_tick *tick)
{
	if (!retrace(tick->capture, &cpu.walk))
		counter_add(COUNTER_CPU_STACKS_GONE, 1);
	if (label_set_exists(tick->capture->labels))
		walk_add_labels(&cpu.walk, tick->capture->labels);
	for (struct cpu_profile *p = cpu.profiles; p; p = p->next) {
		if (!p->children_until_ns)
			continue;
		p->born = p->born ? p->born : born_make();
		if (p->born)
			born_add(p->born, tick, &cpu.walk, CPU_VALUE_NS);
	}
}

/* Returns when to drain again: the sooner, the fuller the ring was. */
static int64_t drain_ticks(void)
{
	bool was_busy = ring_used(&cpu.ring) > RING_BYTES / 8;
	const struct capture *c;

	code_catch_up(); /* first drop the rules of code that has been unloaded */
	while ((c = ring_front(&cpu.ring))) {
		take_capture(c);
		ring_pop(&cpu.ring);
	}
	ring_rewind(&cpu.ring);
	nursery_drain(take_of_child);
	return was_busy ? DRAIN_SOON_NS : DRAIN_EVERY_NS;
}

/* Drops what the last profile left in the ring: it belongs to nobody. */
static void discard_ticks(void)
{
	while (ring_front(&cpu.ring))
		ring_pop(&cpu.ring);
}

/* ---- the sampler */

static int64_t period_of(int hz)
{
	return NS_PER_SECOND / hz;
}

/*
 * A thousand workers of one thread, which sleep, are not to fill the machine with rings; where
 * one of few threads comes to a page for the first time, it waits for it once.
 */
static uint64_t bytes_to_touch(void)
{
	uint64_t threads = tasks_count();

	return threads ? threads * TOUCHED_BYTES : RING_BYTES;
}

static bool get_memory(void)
{
	if (cpu.holds_memory)
		return true;
	if (ring_init(&cpu.ring, RING_BYTES) != 0)
		return false;
	cpu.touch_ns = 0;
	if (cpu.touches_late)
		cpu.touch_ns = sys_now_ns() + TOUCH_LATE_NS;
	else
		ring_touch(&cpu.ring, bytes_to_touch());
	look_open();
	cpu.holds_memory = true;
	return true;
}

/*
 * Under a limit on its address space the target would pay for what we map with
 * allocations that fail: a profile is taken when twice of what we need is free.
 */
#define ROOM_BYTES (64UL << 20)

static bool ring_is_used(void)
{
	bool used = cpu.open;

	for (const struct cpu_dump *d = cpu.dumps; d; d = d->next)
		used |= d->signal != 0;
	return used;
}

/* From now on ticks are captured.  Returns the carrier, or 0 and a sentence in *why. */
static int open_ring(const char **why)
{
	int signal;

	arch_init();
	if (timers_kill()) {
		*why = "the program's limit RLIMIT_RTTIME is 0, for which the kernel ends every "
		       "thread with a timer";
		return 0;
	}
	signal = carrier_acquire(why);
	if (!signal)
		return 0;
	if (!cpu.holds_memory && !sys_has_room(ROOM_BYTES))
		*why = "the program's limit on address space (RLIMIT_AS) leaves no room for a "
		       "profile";
	else if (!get_memory())
		*why = "no memory for the ring of samples";
	else
		*why = NULL;
	if (*why)
		return 0;
	action_masks_put_in();
	code_refresh();
	if (!ring_is_used())
		discard_ticks();
	tick_direct_to(&cpu.ring);
	return signal;
}

static void close_ring(void)
{
	if (!ring_is_used())
		tick_direct_to(NULL);
	cpu.give_back_ns = sys_now_ns() + LINGER_NS;
}

/* Who blocked the signal may have done so for a moment: in a handler, in a fork. */
static int64_t first_rest_ns(int hz)
{
	int64_t soon = MAX(2 * period_of(hz), 20 * NS_PER_MS);

	return roster_count().unarmed ? MIN(soon, SCAN_EVERY_NS) : SCAN_EVERY_NS;
}

/* Where more are without a timer they block the signal for good, and each look is a read. */
#define UNARMED_FEW 64

static bool is_to_retry(int64_t now_ns)
{
	return now_ns - cpu.opened_ns < SCAN_EVERY_NS && roster_count().unarmed &&
	       roster_count().unarmed <= UNARMED_FEW;
}

static const char *open_sampler(int hz)
{
	const char *why = NULL;
	int signal = open_ring(&why);

	if (!signal)
		return why;
	if (roster_open(signal, period_of(hz)) != 0) {
		close_ring();
		return "no memory for the table of threads";
	}
	cpu.hz = hz;
	cpu.open = true;
	hunt_begin();
	cpu.opened_ns = sys_now_ns();
	cpu.next_scan_ns = cpu.opened_ns + first_rest_ns(hz);
	return NULL;
}

static void close_sampler(void)
{
	nursery_close();
	roster_close();
	cpu.open = false;
	close_ring();
}

/* A tick that was on its way as the timers went has come. */
static void give_back(void)
{
	action_masks_take_out();
	if (cpu.holds_memory) {
		ring_release(&cpu.ring);
		look_close();
		roster_release();
		nursery_release();
	}
	cpu.holds_memory = false;
	learn_release(); /* it learns again what it needs; the sites keep the modules */
}

static void set_rate(int hz)
{
	if (hz == cpu.hz)
		return;
	cpu.hz = hz;
	roster_change_period(period_of(hz));
}

static int highest_hz(void)
{
	int hz = CPU_HZ_MIN;

	for (const struct cpu_profile *p = cpu.profiles; p; p = p->next)
		hz = MAX(hz, p->hz);
	return hz;
}

/* ---- threads that have no ticks */

/* At each scan, of threads that no tick met while they used the time of one. */
#define LOOKS_AT_ONCE 64

static void look_at_unmet(struct thread *t, void *least_ns)
{
	int64_t unmet = t->cpu_seen_ns - t->met_ns;
	const struct walk *w;

	if (t->dump_id || atomic_load(&t->state) == THREAD_ENDED || unmet < *(int64_t *)least_ns)
		return;
	w = look_at(t);
	if (!w)
		return;
	t->met_ns = t->cpu_seen_ns;
	for (struct cpu_profile *p = cpu.profiles; p; p = p->next)
		account_look(p, t, w, unmet);
}

static void look_at_threads(void)
{
	int64_t least = MAX(period_of(cpu.hz), scheduler_tick_ns());

	look_allow(LOOKS_AT_ONCE);
	threads_each(look_at_unmet, &least);
}

static void account_for(const struct thread *t)
{
	for (struct cpu_profile *p = cpu.profiles; p; p = p->next)
		account_thread_end(p, t);
}

static void settle_ended(void)
{
	roster_settle_ended(account_for);
}

/* No hook may have told of the first thread, with which libc takes the signal's handler. */
static void scan(int64_t now_ns)
{
	int64_t own = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	bool retries = is_to_retry(now_ns);

	carrier_keep();
	code_refresh();
	settle_ended();
	if (retries)
		roster_scan_again();
	else
		roster_scan();
	look_at_threads();
	cpu.next_scan_ns = hunt_next_scan(now_ns, sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) - own);
	if (retries)
		cpu.next_scan_ns = MIN(cpu.next_scan_ns, now_ns + first_rest_ns(cpu.hz));
}

/* ---- profiles */

/* Memory for the struct itself: a page of its own, so that its arena can go as a whole. */
static struct cpu_profile *new_profile(int hz)
{
	struct cpu_profile *p = sys_map(sizeof(*p));

	if (!p)
		return NULL;
	p->book = sys_map(sizeof(*p->book));
	if (!p->book) {
		sys_unmap(p, sizeof(*p));
		return NULL;
	}
	stack_table_init(&p->stacks, PROFILE_BYTES);
	p->hz = MIN(MAX(hz, CPU_HZ_MIN), CPU_HZ_MAX);
	p->period_ns = period_of(p->hz);
	p->draw_ns = MAX(p->period_ns, scheduler_tick_ns());
	return p;
}

static void release_profile(struct cpu_profile *p)
{
	stack_table_release(&p->stacks);
	stack_table_release(&p->merged);
	born_release(p->born);
	sys_unmap(p->book, sizeof(*p->book));
	sys_unmap(p, sizeof(*p));
}

/* NULL, or why there is no sampler. */
static const char *ready_sampler(int hz)
{
	if (cpu.disabled)
		return cpu.disabled;
	if (!cpu.open)
		return open_sampler(hz);
	drain_ticks(); /* what came before belongs to the others */
	return NULL;
}

struct cpu_profile *cpu_profile_start(int hz, const char **why)
{
	struct cpu_profile *p = new_profile(hz);

	cpu.refusal = p ? ready_sampler(p->hz) : "no memory for a profile";
	if (cpu.refusal) {
		*why = cpu.refusal;
		if (p)
			release_profile(p);
		return NULL;
	}
	account_begin(p);
	p->next = cpu.profiles;
	cpu.profiles = p;
	set_rate(highest_hz());
	return p;
}

void cpu_profile_include_children(struct cpu_profile *p, int64_t until_ns)
{
	p->children_until_ns = until_ns;
	nursery_open(until_ns);
	p->children = nursery_count();
}

struct nursery_counts cpu_profile_children(const struct cpu_profile *p)
{
	struct nursery_counts now = nursery_count();

	if (!p->children_until_ns)
		return (struct nursery_counts){ 0 };
	return (struct nursery_counts){ now.born - p->children.born, now.ended - p->children.ended,
					now.ended_ns - p->children.ended_ns,
					now.tails_ns - p->children.tails_ns };
}

/* Those of other profiles go on. */
static void leave_children(void)
{
	for (const struct cpu_profile *p = cpu.profiles; p; p = p->next)
		if (p->children_until_ns)
			return;
	nursery_close();
}

static bool unlink_profile(struct cpu_profile *p)
{
	struct cpu_profile **at = &cpu.profiles;

	while (*at && *at != p)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = p->next;
	return true;
}

void cpu_profile_stop(struct cpu_profile *p)
{
	settle_ended();
	drain_ticks();
	settle_ended();
	account_end(p);
	cpu_labels_refresh(&p->labels);
	if (!unlink_profile(p))
		return;
	leave_children();
	if (cpu.profiles)
		set_rate(highest_hz());
	else
		close_sampler();
}

void cpu_profile_free(struct cpu_profile *p)
{
	if (unlink_profile(p)) {
		leave_children();
		if (!cpu.profiles)
			close_sampler();
	}
	release_profile(p);
}

/* ---- dumps */

void cpu_dump_open(struct cpu_dump *d)
{
	d->id = ++cpu.last_dump_id ? cpu.last_dump_id : ++cpu.last_dump_id;
	d->signal = 0;
	d->next = cpu.dumps;
	cpu.dumps = d;
}

static bool ready_dump(struct cpu_dump *d)
{
	const char *why;

	if (!d->signal && !cpu.disabled && roster_ready_once())
		d->signal = open_ring(&why);
	return d->signal != 0;
}

bool cpu_dump_tick_once(struct cpu_dump *d, int tid)
{
	return ready_dump(d) && roster_tick_once(tid, d->id, d->signal);
}

void cpu_dump_poll(void)
{
	if (cpu.holds_memory)
		drain_ticks();
}

void cpu_dump_close(struct cpu_dump *d)
{
	struct cpu_dump **at = &cpu.dumps;

	if (d->signal)
		roster_end_once(d->id);
	while (*at && *at != d)
		at = &(*at)->next;
	if (*at)
		*at = d->next;
	close_ring();
}

/* ---- what is due */

void cpu_expect_short_life(void)
{
	cpu.touches_late = true;
}

static void touch_late(int64_t now_ns)
{
	if (!cpu.touch_ns || now_ns < cpu.touch_ns)
		return;
	ring_touch(&cpu.ring, bytes_to_touch());
	cpu.touch_ns = 0;
}

static int64_t due_while_open(int64_t now_ns)
{
	touch_late(now_ns);
	if (now_ns >= cpu.next_scan_ns) {
		scan(now_ns);
	}
	return MIN(now_ns + drain_ticks(), cpu.next_scan_ns);
}

/* A handler or hook that is still inside has been stopped there (a debugger): try again later. */
static int64_t due_while_closed(int64_t now_ns)
{
	if (cpu.dumps)
		return now_ns + LINGER_NS;
	if (now_ns < cpu.give_back_ns)
		return cpu.give_back_ns;
	if (!tick_is_quiet() || !roster_is_quiet()) {
		cpu.give_back_ns = now_ns + LINGER_NS;
		return cpu.give_back_ns;
	}
	give_back();
	return INT64_MAX;
}

int64_t cpu_do_due(int64_t now_ns)
{
	if (cpu.open)
		return due_while_open(now_ns);
	return cpu.holds_memory ? due_while_closed(now_ns) : INT64_MAX;
}

void cpu_after_fork(void)
{
	cpu.profiles = NULL;
	cpu.dumps = NULL;
	cpu.open = false;
	cpu.holds_memory = false;
	cpu.ring.bytes = NULL;
	cpu.refusal = NULL;
	action_masks_after_fork();
	reopen_after_fork();
	look_after_fork();
	nursery_after_fork();
	tick_after_fork();
	roster_after_fork();
}
