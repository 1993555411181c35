#include "http/thread_view.h"

#include <errno.h>
#include <string.h>

#include "http/tree_waits.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/status.h"
#include "sampler/base/sys.h"
#include "sampler/locks/deadlock.h"
#include "sampler/locks/lock_owner.h"
#include "sampler/process/tasks.h"

/* libc's own frames above the call, inlined ones included. */
#define LIBC_FRAMES_MAX 8

#define PREFACE_BYTES (64UL << 10)

/* Of one lock that are looked at; more are not named. */
#define READERS_MAX 64

int thread_view_init(struct thread_view *v, struct arena *a, uint32_t threads)
{
	v->entry = arena_array(a, threads, sizeof(*v->entry));
	v->wait = arena_array(a, threads, sizeof(*v->wait));
	v->thread = arena_array(a, threads, sizeof(*v->thread));
	v->count = 0;
	return v->entry && v->wait && v->thread ? 0 : -1;
}

/* ---- states */

/* A function of the program may be called anything. */
static bool is_libc(const struct message *m, const struct message_location *l)
{
	const char *path = l->mapping == MESSAGE_NONE ? "" : m->mapping[l->mapping].file;
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-2", 6) == 0 ||
	       strncmp(name, "libpthread", 10) == 0;
}

/* By the innermost function of libc that tells; false once enough was looked at. */
static bool refine(struct wait_reason *w, const struct message *m, const struct message_location *l,
		   int *left)
{
	if (!is_libc(m, l)) {
		if (l->line_count)
			wait_reason_refine_cxx(w, m->function[l->line[0].function].name);
		return false;
	}
	for (uint32_t k = 0; k < l->line_count; k++) {
		if (wait_reason_refine(w, m->function[l->line[k].function].name) || --*left == 0)
			return false;
	}
	return true;
}

static struct wait_reason reason_of(const struct dump_thread *t, const struct message *m,
				    uint32_t sample)
{
	const struct message_sample *s = &m->sample[sample];
	struct wait_reason w = wait_reason_of_call(&t->call);
	int left = LIBC_FRAMES_MAX;

	if (!m->location) /* nameless: its samples have none either */
		return w;
	for (uint32_t i = 0; w.kind == WAIT_FUTEX && i < s->location_count; i++)
		if (!refine(&w, m, &m->location[s->location[i]], &left))
			break;
	return w;
}

/* NULL: it says enough. */
static const char *refined(const struct message *m, const struct message_sample *s,
			   const char *reason)
{
	struct wait_reason w = wait_reason_of_futex(reason);
	int left = LIBC_FRAMES_MAX;

	for (uint32_t i = 0; w.kind == WAIT_FUTEX && i < s->location_count; i++)
		if (!refine(&w, m, &m->location[s->location[i]], &left))
			break;
	return w.reason && w.reason != reason ? w.reason : NULL;
}

static void refine_sample(struct arena *a, const struct message *m, struct message_sample *s)
{
	for (uint32_t i = 0; i < s->label_count; i++) {
		const struct message_label *l = &s->label[i];
		const char *better = l->text && strcmp(l->key, "wait_reason") == 0
					     ? refined(m, s, l->text)
					     : NULL;
		struct message_label *own =
			better ? arena_array(a, s->label_count, sizeof(*own)) : NULL;

		if (!own)
			continue;
		memcpy(own, s->label, s->label_count * sizeof(*own));
		own[i].text = better;
		s->label = own;
	}
}

void thread_view_refine(struct arena *a, struct message *m)
{
	struct message_sample *sample = arena_array(a, m->sample_count + 1, sizeof(*sample));

	if (!sample)
		return;
	memcpy(sample, m->sample, m->sample_count * sizeof(*sample));
	for (size_t i = 0; i < m->sample_count; i++)
		refine_sample(a, m, &sample[i]);
	m->sample = sample;
}

static void set_state(struct thread_view *v, uint32_t i, const struct message *m)
{
	const struct dump_thread *t = v->thread[i];
	struct thread_entry *e = &v->entry[i];

	switch (t->how) {
	case DUMP_WAITING:
	case DUMP_UNREADABLE:
		v->wait[i] = reason_of(t, m, e->sample);
		e->state = "waiting";
		e->reason = v->wait[i].reason;
		break;
	case DUMP_RAN:
	case DUMP_NO_TICK:
		e->state = "running";
		break;
	case DUMP_KERNEL:
		e->state = "kernel thread";
		break;
	default:
		e->reason = wait_reason_of_wchan(t->wchan);
		e->state = e->reason ? "waiting" : "unknown";
		break;
	}
}

static void add_thread(struct thread_view *v, const struct dump_thread *t, const struct message *m,
		       uint32_t sample, int weight)
{
	uint32_t i = v->count++;

	v->thread[i] = t;
	v->entry[i] = (struct thread_entry){ .tid = t->tid,
					     .weight = weight,
					     .sample = sample,
					     .name = t->name,
					     .idle_ns = t->idle_ns };
	set_state(v, i, m);
}

static const struct message_location *creator_of(const struct dump_thread *t,
						 const struct message *m, const uint32_t *of_stack)
{
	uint32_t sample = t->creator == DUMP_NO_STACK ? MESSAGE_NONE : of_stack[t->creator];

	return sample == MESSAGE_NONE ? NULL : &m->location[m->sample[sample].location[0]];
}

void thread_view_add(struct thread_view *v, const struct dump *d, const struct message *m,
		     const uint32_t *of_stack, int weight)
{
	for (uint32_t i = 0; i < d->count; i++) {
		const struct dump_thread *t = &d->thread[i];

		if (t->stack == DUMP_NO_STACK || of_stack[t->stack] == MESSAGE_NONE)
			continue;
		add_thread(v, t, m, of_stack[t->stack], weight);
		v->entry[v->count - 1].creator = creator_of(t, m, of_stack);
	}
}

int thread_view_nameless(struct thread_view *v, struct arena *a, const struct dump *d,
			 const struct dump *before)
{
	size_t count = d->stacks.count;
	struct message_sample *sample = arena_array(a, count + 1, sizeof(*sample));
	uint32_t *of_stack = arena_array(a, count + 1, sizeof(*of_stack));
	const struct message m = { .sample = sample, .sample_count = count };

	if (!sample || !of_stack ||
	    thread_view_init(v, a, d->count + (before ? before->count : 0)) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		of_stack[i] = (uint32_t)i;
	thread_view_add(v, d, &m, of_stack, 1);
	if (before)
		thread_view_add(v, before, &m, of_stack, -1);
	return 0;
}

/* ---- locks */

static uint32_t find_tid(const struct thread_view *v, int tid)
{
	uint32_t lo = 0, hi = v->count;

	while (lo < hi) {
		uint32_t middle = lo + (hi - lo) / 2;

		if (v->entry[middle].tid < tid)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo < v->count && v->entry[lo].tid == tid ? lo : DEADLOCK_NONE;
}

/* Of this process or another; threads that are no process are found by name there too. */
static bool exists(int tid)
{
	char path[32];
	struct text t = TEXT_INIT(path);
	int fd;

	text_str(&t, "/proc/");
	text_i64(&t, tid);
	text_str(&t, "/comm");
	fd = sys_open_read(path);
	if (fd >= 0)
		sys_close(fd);
	return fd != -ENOENT;
}

/* 0: it is not told, or it is this one: a thread that came after the dump. */
static int process_of(int tid)
{
	char status[512];
	int pid;

	if (process_read_status(tid, status, sizeof(status)) <= 0)
		return 0;
	pid = (int)status_number(status, "Tgid", 10);
	return pid == sys_getpid() ? 0 : pid;
}

static bool has_owner(const struct wait_reason *w)
{
	return w->kind == WAIT_MUTEX || w->kind == WAIT_RWLOCK || w->kind == WAIT_JOIN ||
	       w->kind == WAIT_ONCE || w->kind == WAIT_LIBC;
}

/* A number there that is no thread's is an owner that is gone, unless it cannot be one at all. */
static void find_owner(struct thread_view *v, uint32_t i)
{
	struct thread_entry *e = &v->entry[i];
	struct lock_owner o;

	if (v->thread[i]->how != DUMP_WAITING || !has_owner(&v->wait[i]))
		return;
	o = lock_owner_read(&v->wait[i], &v->thread[i]->call);
	e->lock = o.lock;
	e->is_shared = o.is_shared;
	e->hopeless = o.hopeless;
	e->readers = o.readers;
	if (o.tid <= 0)
		return;
	e->owner = o.tid;
	if (find_tid(v, o.tid) != DEADLOCK_NONE)
		return;
	e->owner_is_gone = !exists(o.tid);
	if (o.is_shared && !e->owner_is_gone)
		e->owner_pid = process_of(o.tid);
}

/* A wait with a time limit ends by itself. */
static uint32_t next_of(const struct thread_view *v, uint32_t i)
{
	return v->entry[i].owner && !v->wait[i].timed ? find_tid(v, v->entry[i].owner)
						      : DEADLOCK_NONE;
}

/* Whether the way from `i` comes to `to`. */
static bool leads_to(const struct thread_view *v, const uint32_t *next, uint32_t i, uint32_t to)
{
	for (uint32_t steps = 0; i < v->count && i != to && steps < v->count; steps++)
		i = next[i];
	return i == to;
}

/* Who waits for readers waits for them all: the one that itself waits for this thread is told. */
static void find_reader(struct thread_view *v, uint32_t i, uint32_t *next)
{
	int tid[READERS_MAX];
	struct lock_owner o = lock_owner_read(&v->wait[i], &v->thread[i]->call);
	uint32_t n = lock_owner_readers(&o, tid, READERS_MAX);

	for (uint32_t k = 0; k < n; k++) {
		uint32_t reader = find_tid(v, tid[k]);

		if (n > 1 && !(reader < v->count && leads_to(v, next, reader, i)))
			continue;
		v->entry[i].owner = tid[k];
		v->entry[i].owner_is_gone = reader == DEADLOCK_NONE && !exists(tid[k]);
		next[i] = v->wait[i].timed ? DEADLOCK_NONE : reader;
		return;
	}
}

static void find_next(struct thread_view *v, uint32_t *next)
{
	for (uint32_t i = 0; i < v->count; i++)
		next[i] = next_of(v, i);
	for (uint32_t i = 0; i < v->count; i++)
		if (v->entry[i].readers && !v->entry[i].owner)
			find_reader(v, i, next);
}

static bool holds(const struct lock_owner *o, int owner)
{
	int tid[READERS_MAX];
	uint32_t n = o->tid == owner ? 0 : lock_owner_readers(o, tid, READERS_MAX);

	while (n > 0 && tid[n - 1] != owner)
		n--;
	return o->tid == owner || n > 0;
}

/*
 * The dump looked at one thread after the other.  A second look that finds all of
 * a circle as they were means that they have waited for each other all the time
 * in between.
 */
static bool still_waits(const struct thread_view *v, uint32_t i, int dir)
{
	const struct dump_thread *t = v->thread[i];
	struct lock_owner now = lock_owner_read(&v->wait[i], &t->call);
	struct task_reader r;
	struct task_call call = task_reader_open(&r, dir, t->tid);

	task_reader_close(&r);
	return holds(&now, v->entry[i].owner) && task_call_is_same(&call, &t->call);
}

static bool is_confirmed(const struct thread_view *v, uint32_t first, const uint32_t *next, int dir)
{
	uint32_t i = first;

	do {
		if (!still_waits(v, i, dir))
			return false;
		i = next[i];
	} while (i != first);
	return true;
}

/* ---- sentences */

static void write_name(struct text *t, const struct thread_entry *e)
{
	text_i64(t, e->tid);
	if (!*e->name)
		return;
	text_str(t, " (");
	for (const char *c = e->name; *c; c++)
		text_char(t, (unsigned char)*c < ' ' ? '?' : *c);
	text_char(t, ')');
}

static const struct {
	const char *before, *after; /* the lock's address, and its owner's name */
} lock_words[] = {
	[WAIT_MUTEX] = { "waits for mutex 0x", " held by thread " },
	[WAIT_RWLOCK] = { "waits for rwlock 0x", " held by thread " },
	[WAIT_ONCE] = { "waits for pthread_once 0x", " run by thread " },
	[WAIT_LIBC] = { "waits for lock 0x", " of libc held by thread " },
};

static void write_lock(struct text *t, const struct thread_view *v, uint32_t i)
{
	if (v->wait[i].kind == WAIT_JOIN) {
		text_str(t, "waits for the end of thread ");
		return;
	}
	text_str(t, lock_words[v->wait[i].kind].before);
	text_hex(t, v->entry[i].lock);
	text_str(t, lock_words[v->wait[i].kind].after);
}

static void write_circle(struct text *t, const struct thread_view *v, uint32_t first,
			 const uint32_t *next)
{
	uint32_t i = first;

	text_str(t, "# DEADLOCK: ");
	do {
		text_str(t, i == first ? "thread " : ", which ");
		if (i == first)
			write_name(t, &v->entry[i]);
		text_str(t, i == first ? " " : "");
		write_lock(t, v, i);
		i = next[i];
		write_name(t, &v->entry[i]);
	} while (i != first);
	text_char(t, '\n');
}

static void write_circles(struct text *t, const struct thread_view *v, const uint32_t *next,
			  uint32_t *circle, int dir)
{
	uint32_t found = deadlock_find(next, v->count, circle), told = 0;

	for (uint32_t i = 0; told < found && i < v->count; i++) {
		if (circle[i] != told)
			continue;
		if (is_confirmed(v, i, next, dir))
			write_circle(t, v, i, next);
		told++;
	}
}

static void write_gone(struct text *t, const struct thread_view *v, int dir)
{
	for (uint32_t i = 0; i < v->count; i++) {
		if (!v->entry[i].owner_is_gone || v->wait[i].timed || !still_waits(v, i, dir))
			continue;
		text_str(t, "# DEADLOCK: thread ");
		write_name(t, &v->entry[i]);
		text_char(t, ' ');
		write_lock(t, v, i);
		text_i64(t, v->entry[i].owner);
		text_str(t, v->entry[i].is_shared
				    ? ", which does not exist (in this pid namespace)\n"
				    : ", which does not exist any more\n");
	}
}

static void write_hopeless(struct text *t, const struct thread_view *v)
{
	for (uint32_t i = 0; i < v->count; i++) {
		if (!v->entry[i].hopeless)
			continue;
		text_str(t, "# DEADLOCK: thread ");
		write_name(t, &v->entry[i]);
		text_str(t,
			 " asked for a mutex and the kernel answered that this is a deadlock; it "
			 "waits for ever\n");
	}
}

static uint32_t count_how(const struct dump *d, enum dump_how how)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->count; i++)
		n += d->thread[i].how == how;
	return n;
}

static void write_count(struct text *t, uint32_t n, const char *what)
{
	if (!n)
		return;
	text_str(t, "# ");
	text_u64(t, n);
	text_str(t, what);
	text_char(t, '\n');
}

static const char *why_refused(const struct dump *d)
{
	if (d->no_proc)
		return " threads without a stack: they did not run, and only /proc says where they "
		       "wait";
	return " threads without a stack: the kernel does not say where they wait, because the "
	       "program gave up privileges";
}

static const char *why_no_tick(void)
{
	if (sandbox_is_noted())
		return " threads without a stack: they ran, and are not interrupted because the "
		       "program has a system-call filter";
	return " threads without a stack: they ran, or moved, and no tick met them in time";
}

static void write_unseen(struct text *t, const struct dump *d)
{
	if (d->no_proc)
		text_str(t, "# /proc is not there: other threads than these may exist\n");
	write_count(t, count_how(d, DUMP_REFUSED), why_refused(d));
	write_count(t, count_how(d, DUMP_NO_TICK), why_no_tick());
	write_count(t, count_how(d, DUMP_UNREADABLE),
		    " threads without a stack: it could not be read");
	write_count(t, d->unlisted, " threads left out: there are more than a dump holds");
}

/* ---- waits that lead to other processes */

static bool leaves(const struct thread_view *v, const uint32_t *next, uint32_t i)
{
	for (uint32_t steps = 0; next[i] != DEADLOCK_NONE && steps < v->count; steps++)
		i = next[i];
	return next[i] == DEADLOCK_NONE && v->entry[i].owner_pid && !v->wait[i].timed;
}

/*
 * A thread that has not run since then has waited there since then; and still does.  The dump was
 * complete at `now`, so it was looked at before.
 */
static void write_wait(struct text *t, const struct thread_view *v, uint32_t i, int dir,
		       int64_t now)
{
	const struct thread_entry *e = &v->entry[i];
	struct tree_wait w = { .pid = sys_getpid(),
			       .tid = e->tid,
			       .owner = e->owner,
			       .lock = e->lock,
			       .since_ns = now - MAX(e->idle_ns, (int64_t)0),
			       .until_ns = sys_now_ns() };

	memcpy(w.name, e->name, MIN(strlen(e->name), sizeof(w.name) - 1));
	if (still_waits(v, i, dir))
		tree_wait_write(t, &w);
}

static void write_waits(struct text *t, const struct thread_view *v, const uint32_t *next, int dir)
{
	uint32_t told = 0;
	int64_t now = sys_now_ns();

	for (uint32_t i = 0; i < v->count && told < TREE_WAITS_OF_ONE; i++) {
		if (!leaves(v, next, i))
			continue;
		write_wait(t, v, i, dir, now);
		told++;
	}
}

static void write_deadlocks(struct text *t, struct thread_view *v, struct arena *a, bool for_tree)
{
	uint32_t *next = arena_array(a, v->count, sizeof(*next));
	uint32_t *circle = arena_array(a, v->count, sizeof(*circle));
	int dir = sys_open_read("/proc/self/task");

	if (next && circle && dir >= 0) {
		find_next(v, next);
		if (for_tree)
			write_waits(t, v, next, dir);
		write_circles(t, v, next, circle, dir);
		write_gone(t, v, dir);
		write_hopeless(t, v);
	}
	if (dir >= 0)
		sys_close(dir);
}

const char *thread_view_preface(struct thread_view *v, struct arena *a, const struct dump *d,
				bool for_tree)
{
	struct text t = { .at = arena_alloc(a, PREFACE_BYTES), .size = PREFACE_BYTES };

	if (!t.at)
		return "";
	for (uint32_t i = 0; i < v->count; i++)
		find_owner(v, i);
	write_deadlocks(&t, v, a, for_tree);
	write_unseen(&t, d);
	return t.at;
}
