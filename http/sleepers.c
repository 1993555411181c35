#include "http/sleepers.h"

#include "proto/share.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define STACKS_BYTES (24UL << 20)
#define SLICE_NS     (5 * NS_PER_MS) /* of work between two looks at other connections */

static int late_pid; /* whom the last request had no time for, 0: it had it for all */

/* The one whose turn is the `turn`th. */
static size_t place_of(const struct sleepers *s, size_t turn)
{
	return (s->first + turn) % s->tree->processes.count;
}

static size_t place_of_pid(const struct process_list *l, int pid)
{
	for (size_t i = 0; pid && i < l->count; i++)
		if (l->list[i].pid >= pid)
			return i;
	return 0;
}

void sleepers_watch(struct sleepers *s, const struct tree_request *t, struct arena *a)
{
	s->clock_ns = arena_array(a, t->processes.count + 1, sizeof(*s->clock_ns));
	for (size_t i = 0; s->clock_ns && i < t->processes.count; i++)
		s->clock_ns[i] = process_cpu_ns(t->processes.list[i].pid);
}

static void begin(struct sleepers *s, struct tree_request *t, struct arena *a, int64_t patience_ns)
{
	s->tree = t;
	s->first = place_of_pid(&t->processes, late_pid);
	late_pid = 0;
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

static enum outside take_threads(const struct sleepers *s, const struct sleepers_want *want,
				 const struct process *p)
{
	if (!has_stacks(s->dump))
		return OUTSIDE_REFUSED;
	want->take(want->arg, s->dump, p);
	return OUTSIDE_READ;
}

static void forget(struct sleepers *s)
{
	if (s->dump)
		dump_free(s->dump);
	if (s->sites)
		other_sites_free(s->sites);
	s->dump = NULL;
	s->sites = NULL;
}

/* Its number may be another one's by now; then what was read means nothing. */
static void finish_one(struct sleepers *s, const struct sleepers_want *want)
{
	size_t i = place_of(s, s->next - 1);
	const struct process *p = &s->tree->processes.list[i];

	if (!is_still_there(p))
		s->tree->outside[i] = OUTSIDE_REFUSED;
	else if (s->sites)
		s->tree->outside[i] = want->take_sites(want->arg, s->sites, p);
	else
		s->tree->outside[i] = take_threads(s, want, p);
	forget(s);
}

static bool is_late(const struct sleepers *s)
{
	return sys_now_ns() >= s->until_ns;
}

static bool step(const struct sleepers *s)
{
	return s->sites ? other_sites_step(s->sites) : dump_of_other_step(s->dump);
}

/* Of one with many threads the rest is not seen when it is late. */
static void read_on(struct sleepers *s, const struct sleepers_want *want)
{
	if (step(s)) {
		if (!is_late(s))
			return;
		if (s->dump)
			dump_of_other_stop(s->dump);
	}
	finish_one(s, want);
}

static void note_late(struct sleepers *s)
{
	for (; s->next < s->tree->processes.count; s->next++) {
		size_t i = place_of(s, s->next);

		if (!is_one(s, i))
			continue;
		s->tree->outside[i] = OUTSIDE_LATE;
		if (!late_pid)
			late_pid = s->tree->processes.list[i].pid;
	}
}

/* False: that cannot be. */
static bool begin_one(struct sleepers *s, const struct sleepers_want *want, const struct process *p)
{
	if (want->kind)
		s->sites = other_sites_begin(p->pid, want->kind, share_place_of(p->name));
	else
		s->dump = dump_of_other(p->pid);
	return s->sites || s->dump;
}

static bool begin_next(struct sleepers *s, const struct sleepers_want *want)
{
	size_t i;

	if (!s->can_look || s->next >= s->tree->processes.count)
		return false;
	if (is_late(s)) {
		note_late(s);
		return false;
	}
	i = place_of(s, s->next++);
	if (is_one(s, i) && !begin_one(s, want, &s->tree->processes.list[i]))
		s->tree->outside[i] = OUTSIDE_REFUSED;
	return true;
}

/* False when there are no more. */
static bool go_on(struct sleepers *s, const struct sleepers_want *want)
{
	if (!s->dump && !s->sites)
		return begin_next(s, want);
	read_on(s, want);
	return true;
}

int64_t sleepers_look(struct sleepers *s, struct tree_request *t, struct arena *a,
		      const struct sleepers_want *want)
{
	int64_t now = sys_now_ns();

	if (!s->tree)
		begin(s, t, a, want->patience_ns);
	while (go_on(s, want))
		if (sys_now_ns() - now > SLICE_NS)
			return now;
	return 0;
}

void sleepers_end(struct sleepers *s)
{
	forget(s);
	if (s->can_look)
		dump_of_others_end();
	stack_table_release(&s->stacks);
	*s = (struct sleepers){ 0 };
}
