/*
 *   running    its stacks in the CPU profile
 *   runnable   the same, under [waiting for a processor], in proportion
 *   blocked    what is left of its life, at the places where looks found it, in proportion
 *
 * Threads with few looks are weighed together with those of their name: their blocked time
 * is added up, and so are the looks at them.  Threads at which nobody looked (there are
 * many, and looks have a budget) and that hardly ran are like those of their name that
 * hardly ran and were looked at.  What cannot be placed is [unsampled] under its own name,
 * or [blocked] where the kernel does not let us look.  Who ended before anybody knew its
 * name is weighed with all that ended, and has none.
 */
#include "sampler/wall/spread.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/wall/names.h"
#include "sampler/wall/profile.h"

/* By how much few looks may be scaled up; more than that means that they are not alike. */
#define SCALE_MAX 4

/* Who ran for less than this part of its life sleeps, with short breaks. */
#define QUIET_PART 1000

struct pool {
	int64_t blocked_ns; /* by clocks */
	int64_t seen_ns;    /* what looks stand for */
};

struct spread {
	struct wall_profile *w;
	void (*fn)(void *arg, const struct wall_part *part);
	void *arg;
	struct name_table names;
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
	struct wall_part part = { .tid = l->tid, .thread = l->name, .state = WALL_RUNNABLE };

	s->is_listed[label] = true;
	if (s->ran[label] > 0 && label)
		s->queued[label] += life_queued_ns(l);
	else
		tell_pseudo(s, PSEUDO_QUEUED, part, life_queued_ns(l));
}

/* The queueing of threads that are no more: to the stacks of those that have no life here. */
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

/* A leaf that stands for CPU time: what the thread waited is none, so it is not above that. */
static bool is_of_cpu_time(uint64_t leaf)
{
	return leaf == PSEUDO_BETWEEN || leaf == PSEUDO_UNSAMPLED || leaf == PSEUDO_LOST;
}

/* The stack in which it ran, below [waiting for a processor]. */
static void put_queued(struct spread *s, const struct stack *at, struct wall_part *part)
{
	uint32_t first = at->depth && is_of_cpu_time(at->frame[0]);
	uint32_t depth = MIN(at->depth - first, STACK_DEPTH_MAX - 1);

	s->frame[0] = PSEUDO_QUEUED;
	memcpy(s->frame + 1, at->frame + first, depth * sizeof(*at->frame));
	part->frame = s->frame;
	part->depth = depth + 1;
}

static void tell_running(struct spread *s, const struct stack *at)
{
	struct wall_part part = part_of_label(s, at->label);

	part.frame = at->frame;
	part.depth = at->depth;
	part.ns = at->value[CPU_VALUE_NS];
	part.state = WALL_RUNNING;
	tell(s, &part);
	put_queued(s, at, &part);
	if (!s->is_listed[at->label]) { /* it may be another's */
		part.tid = 0;
		part.thread = "";
	}
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

static bool is_quiet(const struct life *l)
{
	return life_cpu_ns(l) <= (l->end_ns - l->begin_ns) / QUIET_PART;
}

/* Whether its own looks say enough about it. */
static bool is_own(const struct life *l)
{
	return l->blocked_ns > 0 && (l->blocked_looks >= LOOKS_OWN || is_quiet(l));
}

/* From one place to the other in the whole window without having run. */
static bool is_idle(const struct spread *s, const struct life *l)
{
	return !l->has_run && !l->is_over && l->begin_ns <= s->w->cpu->start_ns;
}

/* At what nobody looked, and nobody could. */
static bool is_hidden(const struct spread *s, const struct life *l)
{
	return s->w->is_place_unknown && !l->blocked_looks;
}

static struct wall_part part_of_life(const struct spread *s, const struct life *l)
{
	return (struct wall_part){
		.tid = l->tid, .thread = l->name, .state = WALL_BLOCKED, .is_idle = is_idle(s, l)
	};
}

/* Of several. */
static struct wall_part part_of_name(const char *name, bool is_idle)
{
	return (struct wall_part){ .thread = name, .state = WALL_BLOCKED, .is_idle = is_idle };
}

/* These visits, and those that had no room. */
static void tell_visits(struct spread *s, uint32_t first, int64_t lost_ns, struct wall_part part,
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
	part.is_idle = false; /* in several places, perhaps */
	tell_pseudo(s, PSEUDO_OTHER, part, scaled(lost_ns, by->blocked_ns, by->seen_ns));
}

static void tell_life(struct spread *s, const struct life *l, struct wall_part part, int64_t ns)
{
	const struct pool by = { ns, l->blocked_ns };

	tell_visits(s, l->visits, l->lost_ns, part, &by);
}

/* What looks at few may stand for. */
static struct pool capped(int64_t blocked_ns, int64_t seen_ns)
{
	return (struct pool){ MIN(blocked_ns, SCALE_MAX * seen_ns), seen_ns };
}

/* First all are added up by name, */
static void add_to_name(struct spread *s, const struct life *l)
{
	struct name_pool *p = names_find(&s->names, l->name);
	int64_t blocked = life_blocked_ns(l);

	if (is_own(l)) {
		p->quiet_seen_ns += is_quiet(l) ? blocked : 0;
	} else if (is_quiet(l)) {
		*(is_idle(s, l) ? &p->quiet_idle_ns : &p->quiet_ns) += blocked;
	} else {
		p->few_ns += blocked;
		p->few_seen_ns += l->blocked_ns;
	}
}

/* then each that hardly ran stands for some of its name at which nobody looked, */
static void tell_for_others(struct spread *s, const struct life *l, const struct name_pool *p)
{
	int64_t blocked = life_blocked_ns(l);

	tell_life(s, l, part_of_name(l->name, false),
		  scaled(p->quiet_ns, blocked, p->quiet_seen_ns));
	tell_life(s, l, part_of_name(l->name, true),
		  scaled(p->quiet_idle_ns, blocked, p->quiet_seen_ns));
}

static void tell_few(struct spread *s, const struct life *l, const struct name_pool *p)
{
	const struct pool by = capped(p->few_ns, p->few_seen_ns);

	tell_visits(s, l->visits, l->lost_ns, part_of_name(l->name, false), &by);
}

static void spread_life(struct spread *s, const struct life *l)
{
	const struct name_pool *p = names_find(&s->names, l->name);

	if (is_own(l)) {
		tell_life(s, l, part_of_life(s, l), life_blocked_ns(l));
		if (is_quiet(l))
			tell_for_others(s, l, p);
	} else if (is_hidden(s, l) || (is_quiet(l) && !p->quiet_seen_ns)) {
		tell_unplaced(s, part_of_life(s, l), life_blocked_ns(l));
	} else if (!is_quiet(l)) {
		tell_few(s, l, p);
	}
}

/* and what looks at few cannot stand for is left. */
static void tell_rest_of_few(struct spread *s)
{
	for (uint32_t i = 0; i <= s->names.mask; i++) {
		const struct name_pool *p = &s->names.slot[i];

		if (p->name)
			tell_unplaced(s, part_of_name(p->name, false),
				      p->few_ns - capped(p->few_ns, p->few_seen_ns).blocked_ns);
	}
}

static void spread_lives(struct spread *s)
{
	const struct life_table *t = &s->w->lives;

	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i].tid && !is_hidden(s, &t->list[i]))
			add_to_name(s, &t->list[i]);
	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i].tid)
			spread_life(s, &t->list[i]);
	tell_rest_of_few(s);
}

static void spread_crowd(struct spread *s, const struct crowd *c)
{
	const struct wall_part part = part_of_name(c->name, false);
	const struct pool by = capped(c->blocked_ns, c->seen_ns);

	tell_visits(s, c->visits, c->lost_ns, part, &by);
	tell_unplaced(s, part, c->blocked_ns - by.blocked_ns);
}

/* They may have had any name; they are like all that ended. */
static void spread_nameless(struct spread *s)
{
	const struct life_table *t = &s->w->lives;
	const struct wall_part part = part_of_name("", false);
	struct pool by;
	int64_t seen = 0;

	for (uint32_t i = 0; i < t->crowds; i++)
		seen += t->crowd[i].seen_ns;
	by = capped(t->crowd[0].blocked_ns, seen);
	for (uint32_t i = 0; i < t->crowds; i++)
		tell_visits(s, t->crowd[i].visits, t->crowd[i].lost_ns, part, &by);
	tell_unplaced(s, part, t->crowd[0].blocked_ns - by.blocked_ns);
}

static void spread_blocked(struct spread *s)
{
	spread_lives(s);
	for (uint32_t i = 1; i < s->w->lives.crowds; i++)
		spread_crowd(s, &s->w->lives.crowd[i]);
	spread_nameless(s);
}

void wall_each(struct wall_profile *w, void (*fn)(void *arg, const struct wall_part *part),
	       void *arg)
{
	struct spread *s = arena_alloc(&w->arena, sizeof(*s));

	if (!s || !names_init(&s->names, &w->arena, w->lives.count))
		return;
	s->w = w;
	s->fn = fn;
	s->arg = arg;
	w->unsampled_ns = 0;
	spread_cpu(s);
	spread_blocked(s);
}
