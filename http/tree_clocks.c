#include "http/tree_clocks.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define LOOK_EVERY_NS NS_PER_SECOND
#define LOOK_BYTES    (16UL << 20)
#define TICK_NS	      (NS_PER_SECOND / 100) /* of /proc, on all machines: USER_HZ */
#define FIRST_CLOCKS  64

static bool is_of(const struct tree_clock *t, const struct process *p)
{
	return t->pid == p->pid && t->start == p->start;
}

/* The lists are in order of pid but for what came later: mostly it is the next one. */
static struct tree_clock *find(struct tree_clocks *c, const struct process *p, size_t *cursor)
{
	for (size_t i = 0; i < c->count; i++) {
		size_t at = (*cursor + i) % c->count;

		if (!is_of(&c->list[at], p))
			continue;
		*cursor = at + 1;
		return &c->list[at];
	}
	return NULL;
}

static struct tree_clock *add(struct tree_clocks *c, const struct process *p)
{
	size_t size = sizeof(*c->list), room = c->room ? 2 * c->room : FIRST_CLOCKS;
	struct tree_clock *list, *t;

	if (c->count == c->room) {
		list = arena_grow(c->arena, c->list, c->room * size, room * size);
		if (!list)
			return NULL;
		c->list = list;
		c->room = room;
	}
	t = &c->list[c->count++];
	*t = (struct tree_clock){ .pid = p->pid, .start = p->start };
	t->is_self = p->pid == sys_getpid();
	return t;
}

/* The name may change after an exec; the latest is what a user looks for. */
static void read_clock(struct tree_clock *t, const struct process *p)
{
	int64_t ns = process_cpu_ns(p->pid);

	t->is_there = p->state != 'Z' && ns >= 0;
	t->last_ns = MAX(t->last_ns, ns);
	t->last_children = p->children_ticks;
	memcpy(t->name, p->name, sizeof(t->name));
}

void tree_clocks_begin(struct tree_clocks *c, struct arena *a, const struct process_list *l)
{
	*c = (struct tree_clocks){ .arena = a, .next_look_ns = sys_now_ns() + LOOK_EVERY_NS };
	for (size_t i = 0; i < l->count; i++) {
		struct tree_clock *t = add(c, &l->list[i]);

		if (!t)
			return;
		read_clock(t, &l->list[i]);
		t->was_there = true;
		t->first_ns = t->last_ns;
		t->first_children = t->last_children;
	}
}

void tree_clocks_look(struct tree_clocks *c, bool last)
{
	struct arena scratch = ARENA_INIT(LOOK_BYTES);
	struct process_list now;
	size_t cursor = 0;

	if (!last && sys_now_ns() < c->next_look_ns)
		return;
	descendants_list(&scratch, sys_getpid(), &now);
	for (size_t i = 0; i < c->count; i++)
		c->list[i].is_there = false;
	for (size_t i = 0; i < now.count; i++) {
		struct tree_clock *t = find(c, &now.list[i], &cursor);

		if (!t)
			t = add(c, &now.list[i]);
		if (t)
			read_clock(t, &now.list[i]);
	}
	arena_release(&scratch);
	c->next_look_ns = sys_now_ns() + LOOK_EVERY_NS;
}

struct tree_clock *tree_clocks_find(struct tree_clocks *c, int pid, uint64_t start)
{
	for (size_t i = c->count; i-- > 0;)
		if (c->list[i].pid == pid && (!start || c->list[i].start == start))
			return &c->list[i];
	return NULL;
}

static int64_t ticks_ns(uint64_t ticks)
{
	return (int64_t)ticks * TICK_NS;
}

int64_t tree_clocks_ended_ns(const struct tree_clocks *c)
{
	int64_t waited_for = 0, seen = 0;

	for (size_t i = 0; i < c->count; i++) {
		const struct tree_clock *t = &c->list[i];

		if (t->is_there) {
			waited_for += ticks_ns(t->last_children - t->first_children);
		} else {
			seen += t->last_ns - t->first_ns;
			waited_for -= t->first_ns + ticks_ns(t->first_children);
		}
	}
	return MAX(waited_for, seen);
}
