#include "sampler/cpu/look.h"

#include <stddef.h>

#include "sampler/process/tasks.h"
#include "sampler/unwind/blocked.h"

static struct {
	struct blocked blocked; /* too large for the stack */
	bool is_open;
	int allowed;
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
}

void look_allow(int n)
{
	look.allowed = n;
}

const struct walk *look_at(int tid)
{
	int dir = tasks_dir();

	if (!look.is_open || dir < 0 || look.allowed <= 0)
		return NULL;
	look.allowed--;
	if (blocked_take(&look.blocked, dir, tid) != BLOCKED_TAKEN)
		return NULL;
	walk_add_labels(&look.blocked.walk, look.blocked.labels);
	return &look.blocked.walk;
}
