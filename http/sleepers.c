#include "http/sleepers.h"

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define STACKS_BYTES (24UL << 20)
#define SLICE_NS     (5 * NS_PER_MS) /* of work between two looks at other connections */

void sleepers_watch(struct sleepers *s, const struct tree_request *t, struct arena *a)
{
	s->clock_ns = arena_array(a, t->processes.count + 1, sizeof(*s->clock_ns));
	for (size_t i = 0; s->clock_ns && i < t->processes.count; i++)
		s->clock_ns[i] = process_cpu_ns(t->processes.list[i].pid);
}

static void begin(struct sleepers *s, struct tree_request *t, struct arena *a, int64_t patience_ns)
{
	s->tree = t;
	s->until_ns = sys_now_ns() + patience_ns;
	s->owners.arena = a;
	stack_table_init(&s->stacks, STACKS_BYTES);
	t->outside = arena_array(a, t->processes.count + 1, sizeof(*t->outside));
	s->can_look = t->outside && dump_of_others_begin();
}

static bool has_answered(const struct tree_request *t, int pid)
{
	for (const struct member *one = t->members.first; one; one = one->next)
		if (one->pid == pid && one->state == MEMBER_ANSWERED)
			return true;
	return false;
}

static bool is_still_there(const struct process *p)
{
	struct process now;

	return process_read(p->pid, &now) && now.start == p->start && now.state != 'Z';
}

static bool has_run(const struct sleepers *s, size_t i)
{
	return s->clock_ns && process_cpu_ns(s->tree->processes.list[i].pid) != s->clock_ns[i];
}

static bool is_one(const struct sleepers *s, size_t i)
{
	const struct tree_request *t = s->tree;
	const struct process *p = &t->processes.list[i];

	return p->pid != sys_getpid() && tree_query_has_named(&t->query, p->pid, p->name) &&
	       !has_answered(t, p->pid) && is_still_there(p) && !has_run(s, i);
}

static bool has_stacks(const struct dump *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->thread[i].how != DUMP_REFUSED && d->thread[i].how != DUMP_GONE)
			return true;
	return false;
}

/* Its number may be another one's by now; then what was read means nothing. */
static struct dump *read_one(struct tree_request *t, size_t i)
{
	const struct process *p = &t->processes.list[i];
	struct dump *d = dump_of_other(p->pid);

	if (d && is_still_there(p) && has_stacks(d)) {
		t->outside[i] = OUTSIDE_READ;
		return d;
	}
	if (d)
		dump_free(d);
	t->outside[i] = OUTSIDE_REFUSED;
	return NULL;
}

/* False when there are no more. */
static bool take_next(struct sleepers *s,
		      void (*take)(void *arg, const struct dump *d, const struct process *of),
		      void *arg)
{
	size_t i = s->next++;
	struct dump *d;

	if (!s->can_look || i >= s->tree->processes.count || sys_now_ns() >= s->until_ns)
		return false;
	d = is_one(s, i) ? read_one(s->tree, i) : NULL;
	if (d) {
		take(arg, d, &s->tree->processes.list[i]);
		dump_free(d);
	}
	return true;
}

int64_t sleepers_look(struct sleepers *s, struct tree_request *t, struct arena *a,
		      int64_t patience_ns,
		      void (*take)(void *arg, const struct dump *d, const struct process *of),
		      void *arg)
{
	int64_t now = sys_now_ns();

	if (!s->tree)
		begin(s, t, a, patience_ns);
	while (take_next(s, take, arg))
		if (sys_now_ns() - now > SLICE_NS)
			return now;
	return 0;
}

void sleepers_end(struct sleepers *s)
{
	if (s->can_look)
		dump_of_others_end();
	stack_table_release(&s->stacks);
	*s = (struct sleepers){ 0 };
}
