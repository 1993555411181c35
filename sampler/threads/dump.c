/*
 * Three phases: list the threads; look at each once; then, for those that were
 * running, wait for ticks and look again, as most of them block soon.
 */
#include "sampler/threads/dump.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sort.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/text.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/timers.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules.h"
#include "sampler/process/other_process.h"
#include "sampler/process/tasks.h"
#include "sampler/threads/births.h"
#include "sampler/unwind/blocked.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/sites.h"

#define STACKS_BYTES (24UL << 20)
#define SLICE_NS     (5 * NS_PER_MS) /* of work between two looks at other connections */
#define LOOK_NS	     (2 * NS_PER_MS) /* between two looks at threads that run */
/* For ticks: many scheduler ticks.  On a busy machine longer, as long as some still come. */
#define PATIENCE_NS	 (250 * NS_PER_MS)
#define LONG_PATIENCE_NS NS_PER_SECOND

#define NO_STACK DUMP_NO_STACK

enum phase { PHASE_LOOK, PHASE_TICKS, PHASE_DONE };

struct work {
	struct dump dump; /* first: what callers see */
	int pid;	  /* of another process; 0: this one */
	struct arena arena;
	struct cpu_dump sampler;
	struct blocked blocked;
	enum phase phase;
	uint32_t next;		 /* thread to look at */
	uint32_t pending;	 /* threads without a stack in this round */
	uint32_t pending_before; /* in the round before */
	int64_t ticks_since_ns;	 /* since when we wait for ticks */
	int64_t give_up_ns;
	int dir;	      /* /proc/self/task or the other's, within a step */
	int64_t sched_now_ns; /* when the step began, by the scheduler's clock; -1: not known */
	bool with_times;
};

/* ---- the dump before */

#define KEPT_FOR_NS    (60 * NS_PER_SECOND)
#define CLOCK_GRAIN_NS 1000

static struct {
	struct work *work; /* complete; NULL: none */
	int64_t until_ns;
} kept;

static void release(struct work *w)
{
	stack_table_release(&w->dump.stacks);
	arena_release(&w->arena);
	sys_unmap(w, sizeof(*w));
}

static void drop_kept(void)
{
	if (kept.work)
		release(kept.work);
	kept.work = NULL;
}

static void keep(struct work *w)
{
	drop_kept();
	kept.work = w;
	kept.until_ns = sys_now_ns() + KEPT_FOR_NS;
}

int64_t dump_do_due(int64_t now_ns)
{
	if (kept.work && now_ns >= kept.until_ns)
		drop_kept();
	return kept.work ? kept.until_ns : INT64_MAX;
}

void dump_after_fork(void)
{
	kept.work = NULL;
	other_after_fork();
}

/* ---- listing */

struct listing {
	struct arena *arena;
	struct sort_pair *tid; /* key: the tid */
	size_t count, room;
	size_t unlisted;
	int self;
};

static bool make_room(struct listing *l)
{
	size_t old = l->room * sizeof(*l->tid);
	struct sort_pair *more;

	if (l->count < l->room)
		return true;
	more = l->room < DUMP_THREADS_MAX ? arena_grow(l->arena, l->tid, old, old * 2) : NULL;
	if (!more)
		return false;
	l->tid = more;
	l->room *= 2;
	return true;
}

static void list_thread(int tid, void *arg)
{
	struct listing *l = arg;

	if (tid == l->self)
		return;
	if (make_room(l))
		l->tid[l->count++] = (struct sort_pair){ (uint64_t)tid, 0 };
	else
		l->unlisted++;
}

static bool take_list(struct work *w, const struct listing *l)
{
	w->dump.thread = arena_array(&w->arena, l->count, sizeof(*w->dump.thread));
	if (!w->dump.thread)
		return false;
	for (size_t i = 0; i < l->count; i++)
		w->dump.thread[i] = (struct dump_thread){ .tid = (int)l->tid[i].key,
							  .stack = NO_STACK,
							  .creator = NO_STACK,
							  .idle_ns = -1 };
	w->dump.count = (uint32_t)l->count;
	w->dump.unlisted = (uint32_t)l->unlisted;
	counter_add(COUNTER_DUMP_THREADS_UNLISTED, l->unlisted);
	return true;
}

/* Without /proc (H57) the main thread is known, and who told us of its start. */
static bool list_threads(struct work *w)
{
	struct listing l = { .arena = &w->arena, .room = 256, .self = sys_gettid() };

	l.tid = arena_array(&w->arena, l.room, sizeof(*l.tid));
	if (!l.tid)
		return false;
	if (w->pid) {
		tasks_each_of(w->pid, list_thread, &l);
	} else if (!tasks_each(list_thread, &l) && l.count == 0) {
		w->dump.no_proc = true;
		list_thread(sys_getpid(), &l);
		births_each(list_thread, &l);
	}
	sort_pairs(l.tid, l.count);
	return take_list(w, &l);
}

/* ---- one thread */

static void finish(struct work *w, struct dump_thread *t, enum dump_how how, const uint64_t *frame,
		   uint32_t depth)
{
	struct stack *s = stack_table_add(&w->dump.stacks, frame, depth);

	if (!s)
		return;
	t->how = how;
	t->stack = s->index;
	s->value[0]++;
}

static void finish_without_stack(struct work *w, struct dump_thread *t, enum dump_how how)
{
	static const uint64_t unseen = PSEUDO_UNSEEN, kernel = PSEUDO_KERNEL;

	if (how == DUMP_NO_TICK || how == DUMP_REFUSED || how == DUMP_UNREADABLE)
		counter_add(COUNTER_DUMP_STACKS_UNSEEN, 1);
	finish(w, t, how, how == DUMP_KERNEL ? &kernel : &unseen, 1);
}

/* Both are of the scheduler's clock, so that its zero does not matter. */
static int64_t idle_ns(const struct work *w, int tid)
{
	int64_t then = w->sched_now_ns > 0 ? task_exec_start(w->dir, tid) : -1;

	return then > 0 ? MAX(w->sched_now_ns - then, 0) : -1;
}

static void finish_waiting(struct work *w, struct dump_thread *t)
{
	struct walk *walk = &w->blocked.walk;

	if (w->pid)
		walk_cut_at_nowhere(walk);
	walk_add_labels(walk, w->blocked.labels);
	t->call = w->blocked.call;
	if (w->with_times)
		t->idle_ns = idle_ns(w, t->tid);
	finish(w, t, DUMP_WAITING, walk->pc, walk->depth);
}

static void finish_unless_waiting(struct work *w, struct dump_thread *t)
{
	t->call.state = w->blocked.call.state;
	switch (w->blocked.call.state) {
	case TASK_GONE:
		t->how = DUMP_GONE;
		break;
	case TASK_NO_STACK:
		finish_without_stack(w, t, DUMP_KERNEL);
		break;
	case TASK_REFUSED:
	case TASK_RUNNING:
	case TASK_IN_CALL:
	case TASK_STOPPED:
		break; /* a tick may come */
	}
}

static void look_at(struct work *w, struct dump_thread *t)
{
	switch (blocked_take(&w->blocked, w->dir, t->tid)) {
	case BLOCKED_TAKEN:
		finish_waiting(w, t);
		break;
	case BLOCKED_UNREADABLE:
		t->call = w->blocked.call;
		finish_without_stack(w, t, DUMP_UNREADABLE);
		break;
	case BLOCKED_NOT:
		finish_unless_waiting(w, t);
		break;
	case BLOCKED_MOVED:
		t->call.state = TASK_RUNNING;
		counter_add(COUNTER_DUMP_THREADS_MOVED, 1);
		break;
	}
}

/* NULL when it is not in the list. */
static struct dump_thread *find_thread(const struct work *w, int tid)
{
	uint32_t lo = 0, hi = w->dump.count;

	while (lo < hi) {
		uint32_t middle = lo + (hi - lo) / 2;

		if (w->dump.thread[middle].tid < tid)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo < w->dump.count && w->dump.thread[lo].tid == tid ? &w->dump.thread[lo] : NULL;
}

/* The tick may be of a thread that is in the list no more, or finished already. */
static void tick_seen(void *arg, int tid, const struct walk *walk)
{
	struct dump_thread *t = find_thread(arg, tid);

	if (t && t->how == DUMP_PENDING)
		finish(arg, t, DUMP_RAN, walk->pc, walk->depth);
}

static void note_creator(int tid, uint32_t order, const struct site *site, void *arg)
{
	struct work *w = arg;
	struct dump_thread *t = find_thread(w, tid);
	struct stack *s;

	if (!t || !site->depth ||
	    (t->creator != NO_STACK && (int32_t)(order - t->creator_order) < 0))
		return;
	s = stack_table_add(&w->dump.stacks, site->frame, 1);
	if (!s)
		return;
	s->value[0]++; /* or it would be left out of the profile */
	t->creator = s->index;
	t->creator_order = order;
}

/*
 * A thread under a filter of its own that forbids the return from a signal handler
 * would be killed by a tick.  A CPU profile is worth that risk to who asks for it;
 * a dump, which scrapers take, is not.
 */
static bool may_interrupt(void)
{
	return !sandbox_is_noted();
}

static void ask_for_tick(struct work *w, struct dump_thread *t)
{
	if (t->tick_asked)
		return;
	t->tick_asked = true;
	if (!may_interrupt() || !cpu_dump_tick_once(&w->sampler, t->tid))
		counter_add(COUNTER_DUMP_THREADS_WITHOUT_TIMER, 1);
}

/* ---- rounds */

static void give_up(struct work *w, struct dump_thread *t)
{
	if (t->call.state == TASK_REFUSED && w->dir >= 0)
		task_wchan_read(w->dir, t->tid, t->wchan, sizeof(t->wchan));
	finish_without_stack(w, t, t->call.state == TASK_REFUSED ? DUMP_REFUSED : DUMP_NO_TICK);
}

/* Labels lie behind it. */
static uint64_t root_of(const struct stack *s)
{
	return s->frame[s->depth - (frames_labels(s->frame, s->depth) ? 2 : 1)];
}

/*
 * A thread whose CPU clock stands where it stood has not run: it is where it was.  A clock
 * that shows whole microseconds may be one that counts the kernel's ticks.
 */
static bool is_as_before(struct work *w, struct dump_thread *t)
{
	const struct dump_thread *old = kept.work ? find_thread(kept.work, t->tid) : NULL;
	const struct stack *at;

	if (!old || old->how != DUMP_WAITING || old->call.state != TASK_IN_CALL ||
	    old->clock_ns != t->clock_ns || old->clock_ns % CLOCK_GRAIN_NS == 0)
		return false;
	at = kept.work->dump.stacks.list[old->stack];
	if (root_of(at) < PSEUDO_LIMIT)
		return false; /* cut, or one of many: by now it may be known better */
	counter_add(COUNTER_DUMP_THREADS_AS_BEFORE, 1);
	t->call = old->call;
	if (w->with_times)
		t->idle_ns = idle_ns(w, t->tid);
	finish(w, t, DUMP_WAITING, at->frame, at->depth);
	return true;
}

static void visit(struct work *w, struct dump_thread *t)
{
	if (w->phase == PHASE_LOOK)
		task_name_read(w->dir, t->tid, t->name);
	if (w->pid && strcmp(t->name, TASK_OUR_NAME) == 0) {
		t->how = DUMP_GONE; /* as our own is not in our list */
		return;
	}
	t->clock_ns = thread_cpu_ns(t->tid); /* before it is looked at: what comes later moves it */
	if (!w->pid && w->phase == PHASE_LOOK && is_as_before(w, t))
		return;
	look_at(w, t);
	if (!w->pid && t->how == DUMP_PENDING)
		ask_for_tick(w, t);
	w->pending += t->how == DUMP_PENDING;
}

static bool out_of_time(int64_t start_ns)
{
	return sys_now_ns() - start_ns > SLICE_NS;
}

/* False when the slice is used up before the round is. */
static bool finish_round(struct work *w)
{
	int64_t start_ns = sys_now_ns();

	for (; w->next < w->dump.count; w->next++) {
		struct dump_thread *t = &w->dump.thread[w->next];

		if (t->how == DUMP_PENDING)
			visit(w, t);
		if (w->next % 16 == 15 && out_of_time(start_ns)) {
			w->next++;
			return false;
		}
	}
	return true;
}

static void give_up_on_rest(struct work *w)
{
	for (uint32_t i = 0; i < w->dump.count; i++)
		if (w->dump.thread[i].how == DUMP_PENDING)
			give_up(w, &w->dump.thread[i]);
	w->pending = 0;
}

static void be_patient(struct work *w, int64_t now)
{
	if (w->phase == PHASE_LOOK)
		w->ticks_since_ns = now;
	if (w->phase == PHASE_LOOK || w->pending < w->pending_before)
		w->give_up_ns = MIN(now + PATIENCE_NS, w->ticks_since_ns + LONG_PATIENCE_NS);
	w->pending_before = w->pending;
}

/* A round is complete: on to the next, or to the end. */
static int64_t after_round(struct work *w)
{
	int64_t now = sys_now_ns();

	be_patient(w, now);
	if (now >= w->give_up_ns)
		give_up_on_rest(w);
	w->phase = w->pending ? PHASE_TICKS : PHASE_DONE;
	w->next = 0;
	w->pending = 0;
	return w->phase == PHASE_DONE ? 0 : now + LOOK_NS;
}

static int64_t step(struct work *w)
{
	int64_t again;

	cpu_dump_poll();
	again = finish_round(w) ? after_round(w) : sys_now_ns();
	return again;
}

int64_t dump_step(struct dump *d)
{
	struct work *w = (struct work *)d;
	int64_t again;

	if (w->phase == PHASE_DONE)
		return 0;
	w->dir = sys_open_read("/proc/self/task");
	w->sched_now_ns = w->with_times ? task_exec_start(w->dir, sys_gettid()) : -1;
	again = step(w);
	if (w->dir >= 0)
		sys_close(w->dir);
	return again;
}

/* ---- life */

static bool start_work(struct work *w, bool with_times)
{
	w->arena.limit = DUMP_THREADS_MAX * 2 * sizeof(struct dump_thread);
	w->with_times = with_times;
	w->sampler.seen = tick_seen;
	w->sampler.arg = w;
	w->dump.start_epoch_ns = sys_clock_ns(CLOCK_REALTIME);
	stack_table_init(&w->dump.stacks, STACKS_BYTES);
	cpu_dump_open(&w->sampler);
	code_refresh();
	if (!blocked_init(&w->blocked) || !list_threads(w))
		return false;
	if (with_times)
		births_each_site(note_creator, w);
	return true;
}

struct dump *dump_start(bool with_times)
{
	struct work *w = sys_map(sizeof(*w));

	if (w && !start_work(w, with_times)) {
		dump_free(&w->dump);
		return NULL;
	}
	return w ? &w->dump : NULL;
}

void dump_free(struct dump *d)
{
	struct work *w = (struct work *)d;

	if (!w->pid)
		cpu_dump_close(&w->sampler);
	blocked_release(&w->blocked);
	if (w->phase == PHASE_DONE && !w->pid)
		keep(w);
	else
		release(w);
}

/* ---- other processes */

static void forget_rows(const struct module *m)
{
	for (uint32_t i = 0; i < m->range_count; i++)
		learn_forget(m->range[i].start, m->range[i].limit);
}

bool dump_of_others_begin(void)
{
	code_refresh();
	return other_begin();
}

void dump_of_others_end(void)
{
	other_end(forget_rows);
}

static int open_tasks_of(int pid)
{
	char path[32];
	struct text t = TEXT_INIT(path);

	text_str(&t, "/proc/");
	text_i64(&t, pid);
	text_str(&t, "/task");
	return sys_open_read(path);
}

/* Each once.  False when the slice is used up before. */
static bool look_at_some(struct work *w)
{
	bool done = true;

	if (!other_is_open(w->pid) && !other_open(w->pid))
		return true;
	w->dir = open_tasks_of(w->pid);
	w->sched_now_ns = task_exec_start(tasks_dir(), sys_gettid());
	if (w->dir >= 0) {
		done = finish_round(w);
		if (done)
			give_up_on_rest(w);
		sys_close(w->dir);
	}
	return done;
}

bool dump_of_other_step(struct dump *d)
{
	struct work *w = (struct work *)d;

	if (w->phase == PHASE_DONE)
		return false;
	if (!look_at_some(w))
		return true;
	dump_of_other_stop(d);
	return false;
}

void dump_of_other_stop(struct dump *d)
{
	struct work *w = (struct work *)d;

	w->dir = -1;
	give_up_on_rest(w);
	w->phase = PHASE_DONE;
}

static bool start_other(struct work *w)
{
	w->arena.limit = DUMP_THREADS_MAX * 2 * sizeof(struct dump_thread);
	w->blocked.is_other = true;
	w->with_times = true;
	w->dump.start_epoch_ns = sys_clock_ns(CLOCK_REALTIME);
	stack_table_init(&w->dump.stacks, STACKS_BYTES);
	return other_open(w->pid) && blocked_init(&w->blocked) && list_threads(w);
}

struct dump *dump_of_other(int pid)
{
	struct work *w = sys_map(sizeof(*w));

	if (!w)
		return NULL;
	w->pid = pid;
	if (start_other(w))
		return &w->dump;
	dump_free(&w->dump);
	return NULL;
}
