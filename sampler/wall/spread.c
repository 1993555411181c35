/*
 *   running    its stacks in the CPU profile
 *   runnable   the same, under [waiting for a processor], in proportion
 *   blocked    what is left of its life, at the places where looks found it, in proportion
 *
 * Threads with few looks are weighed together: their blocked time is added up, and so are
 * the looks at them.  Threads that never ran and were never looked at (there are many, and
 * looks have a budget) are like those that never ran and were.  What cannot be placed is
 * [unsampled], or [blocked] where the kernel does not let us look.
 */
#include "sampler/wall/spread.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/wall/profile.h"

/* By how much few looks may be scaled up; more than that means that they are not alike. */
#define SCALE_MAX 4

struct pool {
	int64_t blocked_ns; /* by clocks */
	int64_t seen_ns;    /* what looks stand for */
};

struct spread {
	struct wall_profile *w;
	void (*fn)(void *arg, const struct wall_part *part);
	void *arg;
	struct pool few, still; /* few looks; never ran */
	int64_t queued[CPU_LABELS_MAX + 1],
		ran[CPU_LABELS_MAX + 1];    /* by the CPU profile's label */
	bool is_listed[CPU_LABELS_MAX + 1]; /* it is a thread with a life of its own */
	uint64_t frame[STACK_DEPTH_MAX];
};

static int64_t scaled(int64_t n, int64_t by, int64_t over)
{
	return over ? (int64_t)((__int128)n * by / over) : 0;
}

static void tell(struct spread *s, const struct wall_part *part)
{
	if (part->ns > 0)
		s->fn(s->arg, part);
}

static void tell_pseudo(struct spread *s, enum pseudo_frame frame, struct wall_part part,
			int64_t ns)
{
	const uint64_t pseudo = frame;

	part.frame = &pseudo;
	part.depth = 1;
	part.ns = ns;
	part.reason = "";
	tell(s, &part);
}

static void tell_unplaced(struct spread *s, struct wall_part part, int64_t ns)
{
	part.state = WALL_BLOCKED;
	tell_pseudo(s, s->w->is_place_unknown ? PSEUDO_BLOCKED : PSEUDO_UNSAMPLED, part, ns);
	s->w->unsampled_ns += MAX(ns, 0);
}

/* ---- running and runnable */

static struct wall_part part_of_label(const struct spread *s, uint32_t label)
{
	struct wall_part part = { .thread = "", .reason = "" };

	if (label) {
		part.tid = s->w->cpu->labels.list[label - 1].tid;
		part.thread = s->w->cpu->labels.list[label - 1].name;
	}
	return part;
}

static void add_queued(struct spread *s, const struct life *l)
{
	uint32_t label = cpu_label_find(&s->w->cpu->labels, l->tid);
	struct wall_part part = { .thread = l->name, .state = WALL_RUNNABLE };

	s->is_listed[label] = true;
	if (s->ran[label] > 0 && label)
		s->queued[label] += life_queued_ns(l);
	else
		tell_pseudo(s, PSEUDO_QUEUED, part, life_queued_ns(l));
}

/* The queueing of threads that are no more: to those that have stacks and no life here. */
static void add_crowds_queued(struct spread *s)
{
	const struct wall_part nobody = { .thread = "", .state = WALL_RUNNABLE };
	int64_t ran = 0, queued = s->w->lives.crowd_queued_ns;

	for (uint32_t i = 1; i <= s->w->cpu->labels.count; i++)
		ran += s->is_listed[i] ? 0 : s->ran[i];
	for (uint32_t i = 1; i <= s->w->cpu->labels.count; i++)
		if (!s->is_listed[i])
			s->queued[i] += scaled(queued, s->ran[i], ran);
	if (!ran)
		tell_pseudo(s, PSEUDO_QUEUED, nobody, queued);
}

static void tell_running(struct spread *s, const struct stack *at)
{
	struct wall_part part = part_of_label(s, at->label);

	part.frame = at->frame;
	part.depth = at->depth;
	part.ns = at->value[CPU_VALUE_NS];
	part.state = WALL_RUNNING;
	tell(s, &part);
	s->frame[0] = PSEUDO_QUEUED;
	part.depth = MIN(at->depth, STACK_DEPTH_MAX - 1);
	memcpy(s->frame + 1, at->frame, part.depth * sizeof(*at->frame));
	part.depth++;
	part.frame = s->frame;
	part.ns = scaled(s->queued[at->label], at->value[CPU_VALUE_NS], s->ran[at->label]);
	part.state = WALL_RUNNABLE;
	tell(s, &part);
}

static void spread_cpu(struct spread *s)
{
	const struct stack_table *stacks = &s->w->cpu->stacks;

	for (size_t i = 0; i < stacks->count; i++)
		s->ran[stacks->list[i]->label] += stacks->list[i]->value[CPU_VALUE_NS];
	for (uint32_t i = 0; i < s->w->lives.count; i++)
		if (s->w->lives.list[i].tid)
			add_queued(s, &s->w->lives.list[i]);
	add_crowds_queued(s);
	for (size_t i = 0; i < stacks->count; i++)
		tell_running(s, stacks->list[i]);
}

/* ---- blocked */

/* Whether its own looks say enough about it. */
static bool is_own(const struct life *l)
{
	return l->blocked_ns > 0 && (l->blocked_looks >= LOOKS_OWN || !l->has_run);
}

/* From one place to the other in the whole window without having run. */
static bool is_idle(const struct spread *s, const struct life *l)
{
	return !l->has_run && !l->is_over && l->begin_ns <= s->w->cpu->start_ns;
}

static void tell_visits(struct spread *s, uint32_t first, struct wall_part part,
			const struct pool *by)
{
	const struct visit *v;

	for (uint32_t i = first; i; i = v->next) {
		const struct stack *at;

		v = visit_at(&s->w->lives.visits, i);
		at = s->w->stacks.list[v->stack];
		part.frame = at->frame;
		part.depth = at->depth;
		part.reason = v->reason;
		part.ns = scaled(v->ns, by->blocked_ns, by->seen_ns);
		tell(s, &part);
	}
}

static struct wall_part part_of_life(const struct spread *s, const struct life *l)
{
	return (struct wall_part){
		.tid = l->tid, .thread = l->name, .state = WALL_BLOCKED, .is_idle = is_idle(s, l)
	};
}

static void spread_own(struct spread *s, const struct life *l)
{
	const struct pool by = { life_blocked_ns(l), l->blocked_ns };
	struct wall_part part = part_of_life(s, l);

	tell_visits(s, l->visits, part, &by);
	part.is_idle = false;
	tell_pseudo(s, PSEUDO_OTHER, part, scaled(l->lost_ns, by.blocked_ns, by.seen_ns));
	if (is_idle(s, l))
		s->still.seen_ns += by.blocked_ns;
}

static void sort_life(struct spread *s, const struct life *l)
{
	int64_t blocked = life_blocked_ns(l);

	if (is_own(l))
		spread_own(s, l);
	else if (s->w->is_place_unknown && !l->blocked_looks)
		tell_unplaced(s, part_of_life(s, l), blocked);
	else if (is_idle(s, l) && !l->looks)
		s->still.blocked_ns += blocked;
	else {
		s->few.blocked_ns += blocked;
		s->few.seen_ns += l->blocked_ns;
	}
}

static void add_crowds(struct spread *s)
{
	const struct life_table *t = &s->w->lives;

	s->few.blocked_ns += MAX(t->crowd_life_ns - t->crowd_cpu_ns - t->crowd_queued_ns, 0);
	s->few.seen_ns += t->crowd_blocked_ns;
}

static void spread_few(struct spread *s)
{
	struct life_table *t = &s->w->lives;
	struct wall_part part = { .thread = "", .state = WALL_BLOCKED };
	struct pool by = s->few;

	by.blocked_ns = MIN(by.blocked_ns, SCALE_MAX * by.seen_ns);
	for (uint32_t i = 0; i < t->count; i++) {
		part.thread = t->list[i].name;
		if (t->list[i].tid && !is_own(&t->list[i]))
			tell_visits(s, t->list[i].visits, part, &by);
	}
	for (uint32_t i = 0; i < t->crowds; i++) {
		part.thread = t->crowd[i].name;
		tell_visits(s, t->crowd[i].visits, part, &by);
	}
	part.thread = "";
	tell_pseudo(s, PSEUDO_OTHER, part, scaled(t->crowd_lost_ns, by.blocked_ns, by.seen_ns));
	tell_unplaced(s, part, s->few.blocked_ns - by.blocked_ns);
}

/* Each that never ran and was looked at stands for some that nobody looked at. */
static void spread_still(struct spread *s)
{
	struct life_table *t = &s->w->lives;
	struct wall_part part = { .thread = "", .state = WALL_BLOCKED };

	for (uint32_t i = 0; s->still.seen_ns && i < t->count; i++) {
		const struct life *l = &t->list[i];
		struct pool by = { scaled(life_blocked_ns(l), s->still.blocked_ns,
					  s->still.seen_ns),
				   l->blocked_ns };

		if (!l->tid || !is_idle(s, l) || !is_own(l))
			continue;
		part = part_of_life(s, l);
		part.tid = 0;
		tell_visits(s, l->visits, part, &by);
	}
	if (!s->still.seen_ns)
		tell_unplaced(s, part, s->still.blocked_ns);
}

static void spread_blocked(struct spread *s)
{
	for (uint32_t i = 0; i < s->w->lives.count; i++)
		if (s->w->lives.list[i].tid)
			sort_life(s, &s->w->lives.list[i]);
	add_crowds(s);
	spread_few(s);
	spread_still(s);
}

void wall_each(struct wall_profile *w, void (*fn)(void *arg, const struct wall_part *part),
	       void *arg)
{
	struct spread *s = arena_alloc(&w->arena, sizeof(*s));

	if (!s)
		return;
	s->w = w;
	s->fn = fn;
	s->arg = arg;
	w->unsampled_ns = 0;
	spread_cpu(s);
	spread_blocked(s);
}
