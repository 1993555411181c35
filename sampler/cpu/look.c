#include "sampler/cpu/look.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/alternate_stacks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"
#include "sampler/cpu/within.h"
#include "sampler/process/modules.h"
#include "sampler/process/tasks.h"
#include "sampler/unwind/blocked.h"
#include "sampler/unwind/handler_frame.h"

static struct {
	struct blocked blocked; /* too large for the stack */
	struct walk walk;
	bool is_open;
	int allowed;
	atomic_int spared; /* a thread's number */
} look;

void look_open(void)
{
	if (!look.is_open)
		look.is_open = blocked_init(&look.blocked);
}

void look_close(void)
{
	if (look.is_open)
		blocked_release(&look.blocked);
	look.is_open = false;
}

void look_after_fork(void)
{
	look.is_open = false;
	look_spare(0);
}

void look_spare(int tid)
{
	atomic_store(&look.spared, tid);
}

void look_allow(int n)
{
	look.allowed = n;
}

static void add_frame(uint64_t frame)
{
	look.walk.pc[look.walk.depth++] = frame;
}

/* Room for three frames and labels is left. */
static void add_stack(void)
{
	const struct walk *w = &look.blocked.walk;
	uint32_t depth = MIN(w->depth, STACK_DEPTH_MAX - 4);

	memcpy(look.walk.pc + look.walk.depth, w->pc, depth * sizeof(*w->pc));
	look.walk.depth += depth;
	if (depth < w->depth)
		look.walk.pc[look.walk.depth - 1] = PSEUDO_TRUNCATED;
	walk_add_labels(&look.walk, look.blocked.labels);
}

/* It sleeps. */
static bool look_at_call(int tid)
{
	return blocked_take(&look.blocked, tasks_dir(), tid) == BLOCKED_TAKEN;
}

/* It began before the profile did, and its mask tells that it goes on. */
static bool is_within(struct thread *t, uint64_t blocked, const struct handler_frame *frame)
{
	return blocked != frame->mask && within_open_handler(t, blocked);
}

/*
 * It runs, in a handler on its alternate stack, where ticks wait: whose handler that is, and what
 * it interrupted.
 */
static bool look_at_handler(struct thread *t)
{
	uint64_t lo, hi, blocked = task_blocked_signals(t->tid);
	struct handler_frame frame = { 0 };
	const void *handler;

	if (!alternate_stack_of(t->tid, &lo, &hi) || !handler_frame_find(lo, hi, &frame))
		return false;
	handler = action_mask_tells_handler(blocked, frame.mask, frame.sig);
	if (!(blocked & SIGNAL_BIT(CARRIER)) && !(handler && is_within(t, blocked, &frame)))
		return false;
	if (blocked_take_interrupted(&look.blocked, &frame, t->tid) != BLOCKED_TAKEN)
		return false;
	if (handler)
		add_frame(modules_frame((uint64_t)handler));
	add_frame(PSEUDO_SIGNAL);
	return true;
}

const struct walk *look_at(struct thread *t)
{
	if (!look.is_open || tasks_dir() < 0 || look.allowed <= 0 ||
	    t->tid == atomic_load(&look.spared))
		return NULL;
	look.allowed--;
	look.walk.depth = 0;
	add_frame(PSEUDO_BETWEEN);
	if (!look_at_call(t->tid) && !look_at_handler(t))
		return NULL;
	add_stack();
	return &look.walk;
}
