/*
 * The one idea: a thread whose CPU clock has not moved has not run, so it is where it was
 * at the last look.  To read that clock costs a fiftieth of a look, needs no /proc, and is
 * all that is done for the thousands that sleep.
 *
 * A sweep is a look at every thread at one random moment; what it finds stands for the time
 * since the last one.  Running threads are left to the CPU profile.  A thread that was woken
 * and waits for a processor has a clock that stands still, too: so of one that queued of
 * late it is asked whether it still sleeps, and what sweeps have credited to its place is
 * corrected when its queueing is known (settle()).
 */
#include "sampler/wall/wall.h"

#include <stddef.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/timers.h"
#include "sampler/process/label_place.h"
#include "sampler/process/tasks.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/weight.h"
#include "sampler/wall/place.h"
#include "sampler/wall/profile.h"

#define ARENA_BYTES  (48UL << 20)
#define STACKS_BYTES (24UL << 20)

/* Threads whose queueing is read when a profile begins; of others, when they are looked at. */
#define QUEUES_AT_BEGIN 256
/* Threads whose queueing is read when a window ends, so that the answer comes soon. */
#define FILES_AT_END 4096
/* Who waits for a processor for longer than such a part of the time is a queuer. */
#define QUEUER_PART 50

static uint32_t running; /* how many profiles */

/* ---- one thread */

static bool has_ended(const struct thread *t)
{
	return atomic_load_explicit(&t->state, memory_order_acquire) == THREAD_ENDED;
}

static void read_name(struct life *l)
{
	if (tasks_dir() >= 0)
		task_name_read(tasks_dir(), l->tid, l->name);
	l->is_named = true;
}

/* What sweeps have credited since the place was seen cannot be more than it was blocked. */
static void settle(struct life *l, int64_t now, int64_t clock, int64_t queued)
{
	int64_t most = now - l->known_ns - (clock - l->clock) - MAX(queued - l->queued, 0);

	if (l->visit && !l->is_weighted && queued >= 0 && l->queued >= 0)
		l->still_ns = MIN(l->still_ns, MAX(most, 0));
}

static void note_queue(struct life *l, int64_t now, int64_t queued)
{
	if (queued >= 0 && l->queued >= 0 && l->known_ns)
		l->is_queuer = queued - l->queued > (now - l->known_ns) / QUEUER_PART;
	if (l->queued_begin < 0)
		l->queued_begin = queued;
}

static int64_t queued_of(const struct life *l)
{
	return tasks_dir() < 0 ? -1 : task_queued_ns(tasks_dir(), l->tid);
}

struct sweep {
	struct wall_profile *w;
	int64_t now;
	int64_t ns, look_ns; /* what a thread stands for whose place is known; and a look */
	struct budget_parts part;
	struct budget_bill bill;
};

/* Others of which nothing is known have to be stood for. */
static bool is_weighted(const struct sweep *s)
{
	return s->part.threads < BUDGET_ALL || s->part.looks < BUDGET_ALL;
}

static bool is_drawn(uint32_t part)
{
	return part >= BUDGET_ALL || weight_random() % BUDGET_ALL < part;
}

static void look(struct sweep *s, struct life *l, int64_t clock)
{
	int64_t queued = queued_of(l);

	settle(l, s->now, clock, queued);
	lives_leave(&s->w->lives, l);
	note_queue(l, s->now, queued);
	l->has_run |= clock != l->clock_begin;
	l->known_ns = s->now;
	l->clock = clock;
	l->queued = queued;
	l->end_ns = s->now;
	l->is_weighted = is_weighted(s);
	l->visit = place_look(s->w, l, s->look_ns);
	if (!l->is_named)
		read_name(l);
}

static void stay(struct sweep *s, struct life *l)
{
	l->end_ns = s->now;
	l->still_ns += s->ns;
	l->still_looks++;
	l->is_weighted |= is_weighted(s);
}

/* Of a thread whose clock stands still. */
static bool may_queue(struct sweep *s, const struct life *l)
{
	s->bill.looks += l->is_queuer;
	s->bill.unknown += l->is_queuer;
	return l->is_queuer && task_is_running(tasks_dir(), l->tid);
}

/* Where it is is not known, or not any more.  Others may stand for it. */
static void look_maybe(struct sweep *s, struct life *l, int64_t clock)
{
	s->bill.unknown++;
	if (!is_drawn(s->part.looks)) {
		lives_leave(&s->w->lives, l);
		return;
	}
	s->bill.looks++;
	l->looks++;
	if (clock < 0)
		clock = thread_cpu_ns(l->tid);
	if (clock >= 0)
		look(s, l, clock);
}

static void look_or_stay(struct sweep *s, struct life *l)
{
	int64_t clock;

	s->bill.drawn++;
	if (!l->visit) {
		look_maybe(s, l, -1);
		return;
	}
	s->bill.clocks++;
	clock = thread_cpu_ns(l->tid);
	if (clock != l->clock || s->w->clock_is_coarse)
		look_maybe(s, l, clock);
	else if (!may_queue(s, l))
		stay(s, l);
}

/* ---- lives */

/* One that nobody saw start has lived for as long as it has run, at least. */
static void begin_late(struct wall_profile *w, struct life *l, int64_t now)
{
	l->begin_ns = MAX(now - MAX(thread_cpu_ns(l->tid), 0), w->cpu->start_ns);
}

static struct life *begin_life(struct wall_profile *w, const struct thread *t, int64_t now)
{
	struct life *l = lives_add(&w->lives, t);

	if (!l)
		return NULL;
	l->queued_begin = 0;
	if (t->born_at_ns)
		l->begin_ns = MAX(t->born_at_ns, w->cpu->start_ns);
	else
		begin_late(w, l, now);
	l->end_ns = l->begin_ns;
	return l;
}

static void begin_old_life(struct thread *t, void *arg)
{
	struct wall_profile *w = arg;
	struct life *l = t->dump_id || has_ended(t) ? NULL : lives_add(&w->lives, t);

	if (!l)
		return;
	l->begin_ns = l->end_ns = w->cpu->start_ns;
	l->clock_begin = l->clock = MAX(thread_cpu_ns(t->tid), 0);
	if (w->threads++ < QUEUES_AT_BEGIN)
		l->queued_begin = l->queued = queued_of(l);
}

static void end_life(struct life *l, int64_t now, int64_t clock)
{
	l->end_ns = MAX(now, l->begin_ns);
	l->clock = MAX(clock, l->clock);
	l->has_run |= l->clock != l->clock_begin;
}

/* Called by the CPU profile, when the thread's last tick was taken. */
static void thread_ended(void *arg, const struct thread *t)
{
	struct wall_profile *w = arg;
	struct life *l = lives_find(&w->lives, t);

	if (!l && (t->dump_id || !t->ended_at_ns || t->ended_at_ns < w->cpu->start_ns))
		return;
	if (!l)
		l = begin_life(w, t, t->ended_at_ns);
	if (l)
		end_life(l, t->ended_at_ns ? t->ended_at_ns : l->end_ns, t->final_ns);
	lives_end(&w->lives, t);
}

/* ---- sweeps */

static void sweep_thread(struct thread *t, void *arg)
{
	struct sweep *s = arg;
	struct life *l;

	if (t->dump_id || has_ended(t))
		return;
	s->bill.threads++;
	l = lives_find(&s->w->lives, t);
	if (!l)
		l = begin_life(s->w, t, s->now);
	if (l && is_drawn(s->part.threads))
		look_or_stay(s, l);
}

static void sweep(struct wall_profile *w, int64_t now, struct budget_parts part)
{
	int64_t own = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct sweep s = { .w = w, .now = now, .part = part };

	s.ns = (now - w->swept_ns) * BUDGET_ALL / part.threads;
	s.look_ns = s.ns * BUDGET_ALL / part.looks;
	code_refresh();
	threads_each(sweep_thread, &s);
	w->swept_ns = now;
	w->threads = s.bill.threads;
	w->unknown =
		MIN((uint32_t)((uint64_t)s.bill.unknown * BUDGET_ALL / part.threads), w->threads);
	s.bill.ns = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) - own;
	budget_pay(&w->budget, &s.bill);
}

/* From 0 to twice the period: nothing that happens at regular times is always met, or never. */
static int64_t draw_wait(const struct wall_profile *w)
{
	return 1 + (int64_t)(weight_random() % (uint64_t)(2 * w->period_ns));
}

int64_t wall_step(struct wall_profile *w)
{
	int64_t now = sys_now_ns();
	struct budget_parts part = { 0 };

	if (w->end_ns)
		return INT64_MAX;
	if (now < w->due_ns)
		return w->due_ns;
	if (tasks_dir() >= 0)
		part = budget_draw(&w->budget, now, w->threads - w->unknown, w->unknown, running);
	if (part.threads)
		sweep(w, now, part);
	w->due_ns = sys_now_ns() + draw_wait(w);
	return w->due_ns;
}

/* ---- the profile */

/* Clocks that count the kernel's own ticks stand still while a thread runs for less. */
static bool clock_is_coarse(void)
{
	const int64_t fine = 1000;
	bool is_coarse = true;

	for (int i = 0; i < 8; i++)
		is_coarse &= thread_cpu_ns(sys_gettid()) % fine == 0;
	return is_coarse;
}

static bool get_memory(struct wall_profile *w)
{
	w->arena.limit = ARENA_BYTES;
	stack_table_init(&w->stacks, STACKS_BYTES);
	return lives_init(&w->lives, &w->arena) && blocked_init(&w->blocked);
}

static void begin(struct wall_profile *w, int hz)
{
	running++;
	label_places_sweep();
	w->period_ns = NS_PER_SECOND / MIN(MAX(hz, WALL_HZ_MIN), WALL_HZ_MAX);
	w->clock_is_coarse = clock_is_coarse();
	w->is_place_unknown = tasks_dir() < 0;
	w->is_queue_unknown = task_queued_ns(tasks_dir(), sys_gettid()) < 0;
	w->swept_ns = w->cpu->start_ns;
	budget_begin(&w->budget, w->swept_ns);
	threads_each(begin_old_life, w);
	w->unknown = w->threads;
	w->cpu->thread_ended = thread_ended;
	w->cpu->arg = w;
	w->due_ns = w->swept_ns + draw_wait(w);
}

struct wall_profile *wall_start(int hz, int cpu_hz, const char **why)
{
	struct wall_profile *w = sys_map(sizeof(*w));

	*why = "no memory for a profile";
	if (!w)
		return NULL;
	w->cpu = get_memory(w) ? cpu_profile_start(cpu_hz, why) : NULL;
	if (!w->cpu) {
		wall_free(w);
		return NULL;
	}
	begin(w, hz);
	return w;
}

struct ending {
	struct wall_profile *w;
	int files; /* that may be read yet */
};

/* Who never ran did not queue, and its name is as old as the first look at it. */
static void read_at_end(struct ending *e, struct life *l, bool has_run)
{
	if (has_run && --e->files >= 0) {
		l->queued = queued_of(l);
		read_name(l);
	} else if (!l->is_named) {
		read_name(l);
	}
}

static void end_thread(struct thread *t, void *arg)
{
	struct ending *e = arg;
	struct life *l = lives_find(&e->w->lives, t);
	int64_t before, clock = has_ended(t) ? t->final_ns : thread_cpu_ns(t->tid);

	if (t->dump_id || t->accounted)
		return;
	if (!l)
		l = begin_life(e->w, t, e->w->end_ns);
	if (!l)
		return;
	before = l->clock;
	lives_leave(&e->w->lives, l);
	end_life(l, has_ended(t) && t->ended_at_ns ? t->ended_at_ns : e->w->end_ns, clock);
	if (!has_ended(t))
		read_at_end(e, l, l->clock != before);
}

void wall_stop(struct wall_profile *w)
{
	struct ending e = { w, FILES_AT_END };

	w->end_ns = sys_now_ns();
	threads_each(end_thread, &e);
	w->cpu->thread_ended = NULL;
	cpu_profile_stop(w->cpu);
	running--;
}

void wall_free(struct wall_profile *w)
{
	if (w->cpu) {
		running -= w->end_ns == 0;
		cpu_profile_free(w->cpu);
	}
	blocked_release(&w->blocked);
	stack_table_release(&w->stacks);
	arena_release(&w->arena);
	sys_unmap(w, sizeof(*w));
}

struct wall_summary wall_summary(const struct wall_profile *w)
{
	struct wall_summary s = { .start_epoch_ns = w->cpu->start_epoch_ns,
				  .duration_ns = w->end_ns - w->cpu->start_ns,
				  .period_ns = w->period_ns,
				  .life_ns = w->lives.crowd_life_ns,
				  .unsampled_ns = w->unsampled_ns,
				  .known = budget_known_percent(&w->budget),
				  .is_queue_unknown = w->is_queue_unknown,
				  .is_place_unknown = w->is_place_unknown,
				  .unlisted = w->lives.unlisted };

	for (uint32_t i = 0; i < w->lives.count; i++)
		if (w->lives.list[i].tid)
			s.life_ns += w->lives.list[i].end_ns - w->lives.list[i].begin_ns;
	return s;
}

void wall_after_fork(void)
{
	running = 0;
}
