#include "sampler/cpu/labels.h"

#include "sampler/base/counters.h"
#include "sampler/base/utf8.h"
#include "sampler/process/tasks.h"

#define SLOTS (2 * CPU_LABELS_MAX)

static void read_name(struct cpu_label *l)
{
	char name[32];
	long n = tasks_read_file(l->tid, "/comm", name, sizeof(name));

	if (n > 0) /* else the name that it had stays; a newline is behind it */
		utf8_copy(l->name, sizeof(l->name), name, (size_t)n - 1);
}

/* The slot that has its number, or would have. */
static uint32_t *slot_of(const struct cpu_labels *l, int tid)
{
	uint32_t i = (uint32_t)tid * 0x9e3779b9U >> 19;

	while (l->slot[i] && l->list[l->slot[i] - 1].tid != tid)
		i = (i + 1) % SLOTS;
	return &l->slot[i];
}

uint32_t cpu_label_find(const struct cpu_labels *l, int tid)
{
	return l->list ? *slot_of(l, tid) : 0;
}

uint32_t cpu_label_of(struct cpu_labels *l, struct arena *a, int tid)
{
	uint32_t *slot;

	if (!l->list) {
		l->slot = arena_array(a, SLOTS, sizeof(*l->slot));
		l->list = l->slot ? arena_array(a, CPU_LABELS_MAX, sizeof(*l->list)) : NULL;
	}
	if (!l->list)
		return 0;
	slot = slot_of(l, tid);
	if (*slot)
		return *slot;
	if (l->count == CPU_LABELS_MAX) {
		counter_add(COUNTER_CPU_THREADS_UNLABELLED, 1);
		return 0;
	}
	l->list[l->count].tid = tid;
	read_name(&l->list[l->count]);
	*slot = ++l->count;
	return l->count;
}

void cpu_labels_refresh(struct cpu_labels *l)
{
	for (uint32_t i = 0; i < l->count; i++)
		read_name(&l->list[i]);
}
