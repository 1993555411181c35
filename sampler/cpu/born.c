#include "sampler/cpu/born.h"

#include <string.h>

#include "sampler/base/sys_map.h"
#include "sampler/base/utf8.h"

#define STACKS_BYTES (16UL << 20)
/* Of the list the rest is for those that are known by their names only. */
#define WITH_PID_MAX (BORN_MAX - 64)

struct born *born_make(void)
{
	struct born *b = sys_map(sizeof(*b));

	if (b)
		stack_table_init(&b->stacks, STACKS_BYTES);
	return b;
}

void born_release(struct born *b)
{
	if (!b)
		return;
	stack_table_release(&b->stacks);
	sys_unmap(b, sizeof(*b));
}

/* Most often the last one, or one of the last few.  0: there is none. */
static uint32_t find(const struct born *b, int pid, const char *name)
{
	uint32_t i = b->count;

	while (i && (b->list[i - 1].pid != pid || (!pid && strcmp(b->list[i - 1].name, name) != 0)))
		i--;
	return i;
}

static uint32_t add(struct born *b, int pid, const char *name)
{
	struct born_process *p;

	if (b->count == BORN_MAX)
		return 0;
	p = &b->list[b->count++];
	p->pid = pid;
	memcpy(p->name, name, sizeof(p->name));
	return b->count;
}

/* A process gives itself its name when it has begun: the last one is taken. */
static uint32_t number_of(struct born *b, const struct nursery_tick *tick)
{
	char name[NURSERY_NAME_BYTES];
	uint32_t i = find(b, tick->pid, "");

	utf8_copy(name, sizeof(name), tick->name, strnlen(tick->name, sizeof(tick->name)));
	if (i) {
		memcpy(b->list[i - 1].name, name, sizeof(name));
		return i;
	}
	if (b->count < WITH_PID_MAX)
		return add(b, tick->pid, name);
	i = find(b, 0, name);
	return i ? i : add(b, 0, name);
}

void born_add(struct born *b, const struct nursery_tick *tick, const struct walk *w, int value)
{
	struct stack *s = stack_table_add_labelled(&b->stacks, w->pc, w->depth, number_of(b, tick));

	if (s)
		s->value[value] += tick->weight_ns;
}
