#include "sampler/wall/place.h"

#include <stddef.h>

#include "sampler/base/counters.h"
#include "sampler/locks/wait_reason.h"
#include "sampler/process/descriptor_kind.h"
#include "sampler/process/tasks.h"

static const char *reason_of(const struct task_call *call, int tid)
{
	struct wait_reason w = wait_reason_of_call(call);

	if (!wait_reason_is_of_descriptor(&w))
		return w.reason;
	return wait_reason_of_descriptor(&w, descriptor_kind_read(tasks_dir(), tid, call->arg[0]));
}

static uint32_t add(struct wall_profile *w, struct life *l, const uint64_t *frame, uint32_t depth,
		    const char *reason, int64_t ns)
{
	const struct stack *s = stack_table_add(&w->stacks, frame, depth);
	uint32_t number = s ? visits_find(&w->lives.visits, &l->visits, lives_owner(&w->lives, l),
					  s->index, reason)
			    : 0;

	l->blocked_ns += ns;
	l->blocked_looks++;
	if (number)
		visit_at(&w->lives.visits, number)->ns += ns;
	else
		l->lost_ns += ns;
	return number;
}

/* It was blocked, and went on or had no stack before that could be copied. */
static uint32_t add_unseen(struct wall_profile *w, struct life *l, enum pseudo_frame leaf,
			   int64_t ns)
{
	const uint64_t frame = leaf;
	const char *reason = leaf == PSEUDO_UNSEEN ? reason_of(&w->blocked.call, l->tid) : "";

	counter_add(COUNTER_WALL_STACKS_UNSEEN, leaf == PSEUDO_UNSEEN);
	return add(w, l, &frame, 1, reason, ns);
}

static uint32_t without_stack(struct wall_profile *w, struct life *l, int64_t ns)
{
	switch (w->blocked.call.state) {
	case TASK_NO_STACK:
		return add_unseen(w, l, PSEUDO_KERNEL, ns);
	case TASK_REFUSED:
		l->is_refused = true;
		w->is_place_unknown = true;
		return 0;
	case TASK_RUNNING:
	case TASK_GONE:
	case TASK_IN_CALL:
	case TASK_STOPPED:
		break;
	}
	return 0;
}

uint32_t place_look(struct wall_profile *w, struct life *l, int64_t ns)
{
	struct walk *walk = &w->blocked.walk;

	switch (blocked_take_once(&w->blocked, tasks_dir(), l->tid)) {
	case BLOCKED_TAKEN:
		walk_add_labels(walk, w->blocked.labels);
		return add(w, l, walk->pc, walk->depth, reason_of(&w->blocked.call, l->tid), ns);
	case BLOCKED_UNREADABLE:
		return add_unseen(w, l, PSEUDO_UNSEEN, ns);
	case BLOCKED_MOVED:
		add_unseen(w, l, PSEUDO_UNSEEN, ns);
		return 0; /* it is somewhere else by now */
	case BLOCKED_NOT:
		break;
	}
	return without_stack(w, l, ns);
}
