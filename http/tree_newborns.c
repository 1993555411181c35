#include "http/tree_newborns.h"

#include "sampler/base/cc.h"

/* Who used as many ticks' time is weighed by itself. */
#define OWN_TICKS 4
/* Chance misses three times the root of their number, or they are short and begin with a tick. */
#define CHANCE_SQUARED 9
#define MET_LEAST      4

struct group {
	int64_t used, sampled;
};

/* By number of owner. */
struct weighing {
	const struct tree_newborns *n;
	struct group *own;
	bool *is_own;
	struct group pool;
};

static const struct owner *owner_of(const struct tree_newborns *n, const struct stack *s)
{
	const struct owner *o = s->label ? &n->owners->list[s->label - 1] : NULL;

	return o && o->is_newborn ? o : NULL;
}

static void add_samples(struct weighing *w)
{
	for (size_t i = 0; i < w->n->stacks->count; i++) {
		const struct stack *s = w->n->stacks->list[i];

		if (owner_of(w->n, s))
			w->own[s->label].sampled += s->value[w->n->time_value];
	}
}

/* One that was there before is another one, whatever somebody says. */
static struct tree_clock *clock_of(const struct weighing *w, uint32_t label)
{
	const struct owner *o = &w->n->owners->list[label - 1];
	struct tree_clock *c = o->pid ? tree_clocks_find(w->n->clocks, o->pid, 0) : NULL;

	return c && c->is_there && !c->was_there ? c : NULL;
}

/* Those that are there, and have their clocks. */
static void add_living(struct weighing *w, uint32_t label)
{
	struct group *g = &w->own[label];
	struct tree_clock *c = clock_of(w, label);
	int64_t used = c ? MAX(c->last_ns - c->first_ns - c->sampled_ns, (int64_t)0) : 0;

	g->used = used;
	w->is_own[label] = c && g->sampled >= OWN_TICKS * w->n->draw_ns;
	if (c)
		c->sampled_ns += used; /* it is told here */
	if (w->is_own[label])
		return;
	w->pool.used += used;
	w->pool.sampled += g->sampled;
}

/* What those have used that ended, as far as it is theirs. */
static int64_t used_by_ended(const struct weighing *w, int64_t ended_ns)
{
	const struct share_head *c = &w->n->counts;
	int64_t living = 0;

	for (size_t i = 0; i < w->n->clocks->count; i++)
		living += w->n->clocks->list[i].is_there && !w->n->clocks->list[i].was_there;
	return c->ended >= c->born - living ? MIN(c->ended_ns + c->tails_ns, ended_ns) : ended_ns;
}

static bool was_met(const struct group *g, int64_t draw_ns)
{
	int64_t less = g->used - g->sampled;

	return less <= 0 || (__int128)less * less <= (__int128)CHANCE_SQUARED * g->used * draw_ns ||
	       g->sampled >= g->used / MET_LEAST;
}

/* What its samples are to stand for. */
static int64_t weight_of(const struct weighing *w, const struct group *g)
{
	if (!g->sampled)
		return 0;
	return was_met(g, w->n->draw_ns) ? g->used : g->sampled;
}

static void weigh_stacks(const struct weighing *w)
{
	for (size_t i = 0; i < w->n->stacks->count; i++) {
		struct stack *s = w->n->stacks->list[i];
		const struct group *g;
		int64_t ns;

		if (!owner_of(w->n, s))
			continue;
		g = w->is_own[s->label] ? &w->own[s->label] : &w->pool;
		ns = g->sampled && w->n->is_wanted(owner_of(w->n, s), w->n->arg)
			     ? (int64_t)((__int128)s->value[w->n->time_value] * weight_of(w, g) /
					 g->sampled)
			     : 0;
		s->value[w->n->time_value] = ns;
		s->value[w->n->count_value] =
			ns ? MAX((ns + w->n->period_ns / 2) / w->n->period_ns, (int64_t)1) : 0;
	}
}

/* Of the living what no sample stands for goes where that of the ended goes. */
static int64_t missing_of(const struct weighing *w, int64_t ended_ns, int64_t used)
{
	int64_t missing = ended_ns - used + w->pool.used - weight_of(w, &w->pool);

	for (uint32_t i = 1; i <= w->n->owners->count; i++)
		if (w->is_own[i])
			missing += w->own[i].used - weight_of(w, &w->own[i]);
	return missing;
}

int64_t tree_newborns_weigh(const struct tree_newborns *n, struct arena *a, int64_t ended_ns)
{
	struct weighing w = { .n = n,
			      .own = arena_array(a, n->owners->count + 1, sizeof(*w.own)),
			      .is_own = arena_array(a, n->owners->count + 1, sizeof(*w.is_own)) };
	int64_t used;

	if (!w.own || !w.is_own)
		return ended_ns;
	add_samples(&w);
	for (uint32_t i = 1; i <= n->owners->count; i++)
		if (n->owners->list[i - 1].is_newborn)
			add_living(&w, i);
	used = used_by_ended(&w, MAX(ended_ns, (int64_t)0));
	w.pool.used += used;
	weigh_stacks(&w);
	return missing_of(&w, ended_ns, used);
}
