#include "http/tree_newborns.h"

#include "sampler/base/cc.h"
#include "sampler/cpu/balance.h"

/* By number of owner. */
struct weighing {
	const struct tree_newborns *n;
	struct cpu_group *own;
	bool *is_own;
	struct cpu_group pool;
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
	struct cpu_group *g = &w->own[label];
	struct tree_clock *c = clock_of(w, label);
	int64_t used = c ? MAX(c->last_ns - c->first_ns - c->sampled_ns, (int64_t)0) : 0;

	g->used = used;
	g->is_unseen = true;
	w->is_own[label] = c && !balance_is_small(g->sampled, w->n->draw_ns);
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

static void weigh_stack(const struct weighing *w, struct stack *s)
{
	const struct cpu_group *g = w->is_own[s->label] ? &w->own[s->label] : &w->pool;
	int64_t *value = s->value, *ns = &value[w->n->time_value];

	*ns = balance_scale(*ns, balance_of(g, w->n->draw_ns).ticks, g->sampled);
	if (!w->n->is_wanted(owner_of(w->n, s), w->n->arg))
		*ns = 0;
	value[w->n->count_value] = balance_samples(*ns, w->n->period_ns);
}

static void weigh_stacks(const struct weighing *w)
{
	for (size_t i = 0; i < w->n->stacks->count; i++)
		if (owner_of(w->n, w->n->stacks->list[i]))
			weigh_stack(w, w->n->stacks->list[i]);
}

/* Of the living what no sample stands for goes where that of the ended goes. */
static int64_t missing_of(const struct weighing *w, int64_t ended_ns, int64_t used)
{
	int64_t missing = ended_ns - used + balance_of(&w->pool, w->n->draw_ns).missing;

	for (uint32_t i = 1; i <= w->n->owners->count; i++)
		if (w->is_own[i])
			missing += balance_of(&w->own[i], w->n->draw_ns).missing;
	return missing;
}

int64_t tree_newborns_weigh(const struct tree_newborns *n, struct arena *a, int64_t ended_ns)
{
	struct weighing w = { .n = n,
			      .pool = { .is_unseen = true },
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
