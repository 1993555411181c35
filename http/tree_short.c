#include "http/tree_short.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sort.h"
#include "sampler/cpu/balance.h"

#define FIRST_ROOM 64
#define NAMES_MAX  64 /* those of others are weighed by themselves */

struct named {
	const char *name;
	struct cpu_group group;
};

struct weighing {
	struct named of[NAMES_MAX];
	size_t count;
	struct named **owner; /* by number of owner; NULL: not short */
	int time_value;
};

void tree_short_note(struct tree_short *t, int pid)
{
	size_t room = t->room ? 2 * t->room : FIRST_ROOM;
	int *grown;

	if (t->count == t->room) {
		grown = arena_grow(t->arena, t->pid, t->room * sizeof(*grown),
				   room * sizeof(*grown));
		if (!grown)
			return;
		t->pid = grown;
		t->room = room;
	}
	t->pid[t->count++] = pid;
}

static struct named *named(struct weighing *w, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->of[i].name, name) == 0)
			return &w->of[i];
	if (w->count == NAMES_MAX)
		return NULL;
	w->of[w->count] = (struct named){ name, { .is_unseen = true } };
	return &w->of[w->count++];
}

static bool find_owners(struct weighing *w, const struct tree_short *t,
			const struct owner_table *owners)
{
	struct sort_pair *pid = arena_array(t->arena, t->count, sizeof(*pid));

	w->owner = arena_array(t->arena, owners->count + 1, sizeof(struct named *));
	if (!pid || !w->owner)
		return false;
	for (size_t i = 0; i < t->count; i++)
		pid[i].key = (uint64_t)t->pid[i];
	sort_pairs(pid, t->count);
	for (uint32_t i = 0; i < owners->count; i++) {
		const struct owner *o = &owners->list[i];
		size_t at = sort_find(pid, t->count, (uint64_t)o->pid);

		if (!o->is_newborn && at < t->count && pid[at].key == (uint64_t)o->pid)
			w->owner[i + 1] = named(w, o->process);
	}
	return true;
}

static bool is_unsampled(const struct stack *s)
{
	return s->depth == 1 && s->frame[0] == PSEUDO_UNSAMPLED;
}

static void add_up(struct weighing *w, const struct stack_table *stacks)
{
	for (size_t i = 0; i < stacks->count; i++) {
		const struct stack *s = stacks->list[i];
		struct named *of = w->owner[s->label];

		if (!of)
			continue;
		of->group.used += s->value[w->time_value];
		of->group.sampled += is_unsampled(s) ? 0 : s->value[w->time_value];
	}
}

/* What nobody saw of a name stays where it was. */
static int64_t weighed(const struct stack *s, const struct cpu_group *g, int64_t draw_ns,
		       int64_t ns)
{
	struct balance b = balance_of(g, draw_ns);

	return is_unsampled(s) ? balance_scale(ns, b.missing, g->used - g->sampled)
			       : balance_scale(ns, b.ticks, g->sampled);
}

void tree_short_weigh(struct tree_short *t, struct stack_table *stacks,
		      const struct owner_table *owners, int64_t draw_ns, int64_t period_ns,
		      int count_value, int time_value)
{
	struct weighing w = { .time_value = time_value };

	if (!t->count || !find_owners(&w, t, owners))
		return;
	add_up(&w, stacks);
	for (size_t i = 0; i < stacks->count; i++) {
		struct stack *s = stacks->list[i];
		const struct named *of = w.owner[s->label];
		int64_t ns = s->value[time_value];

		if (!of)
			continue;
		ns = weighed(s, &of->group, draw_ns, ns);
		s->value[time_value] = ns;
		s->value[count_value] = balance_samples(ns, period_ns);
	}
}
