#include "sampler/process/descendants.h"

#include <string.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/number.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/base/utf8.h"
#include "sampler/process/tasks.h"

/* ---- one process */

/* Fields of /proc/PID/stat, numbered as in proc(5); the second is the name. */
enum {
	FIELD_STATE = 3,
	FIELD_PARENT,
	FIELD_CHILDREN_USER = 16,
	FIELD_CHILDREN_SYSTEM,
	FIELD_THREADS = 20,
	FIELD_START = 22,
	FIELD_RSS = 24,
	FIELD_START_STACK = 28 /* where the kernel has put its arguments and environment */
};

static void take_field(struct process *p, int field, const char *at)
{
	uint64_t n = number_take(&at, 10);

	if (field == FIELD_PARENT)
		p->parent = (int)n;
	else if (field == FIELD_CHILDREN_USER || field == FIELD_CHILDREN_SYSTEM)
		p->children_ticks += n;
	else if (field == FIELD_THREADS)
		p->threads = n;
	else if (field == FIELD_START)
		p->start = n;
	else if (field == FIELD_RSS)
		p->rss_pages = n;
	else if (field == FIELD_START_STACK)
		p->image = n;
}

/* The name may hold anything, blanks and parentheses too: the last one ends it. */
static bool parse(struct process *p, const char *stat)
{
	const char *name = strchr(stat, '('), *end = strrchr(stat, ')');

	if (!name || !end || end < name)
		return false;
	utf8_copy(p->name, sizeof(p->name), name + 1, (size_t)(end - name - 1));
	end++;
	for (int field = FIELD_STATE; *end == ' ' && field <= FIELD_START_STACK; field++) {
		end++;
		if (field == FIELD_STATE)
			p->state = *end;
		else
			take_field(p, field, end);
		end += strcspn(end, " ");
	}
	return true;
}

bool process_read(int pid, struct process *out)
{
	char path[32], stat[1024];
	struct text t = TEXT_INIT(path);

	*out = (struct process){ .pid = pid };
	text_str(&t, "/proc/");
	text_i64(&t, pid);
	text_str(&t, "/stat");
	return sys_read_file(path, stat, sizeof(stat)) > 0 && parse(out, stat);
}

/* The kernel's number of a process's CPU clock; see clock_getcpuclockid(3). */
#define CPUCLOCK_SCHED 2

int64_t process_cpu_ns(int pid)
{
	struct timespec ts;
	long clock = (long)(~(unsigned)pid << 3 | CPUCLOCK_SCHED);

	if (sys_call3(SYS_clock_gettime, (int)clock, (long)&ts, 0) != 0)
		return -1;
	return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

/* ---- all of them */

struct collector {
	struct arena *arena;
	struct process_list *out;
	size_t room;
};

static bool make_room(struct collector *c)
{
	size_t size = sizeof(struct process), room = c->room ? 2 * c->room : 256;
	struct process *list;

	if (c->out->count < c->room)
		return true;
	list = c->out->count < PROCESSES_MAX
		       ? arena_grow(c->arena, c->out->list, c->room * size, room * size)
		       : NULL;
	if (!list)
		return false;
	c->out->list = list;
	c->room = room;
	return true;
}

static void collect(int pid, void *arg)
{
	struct collector *c = arg;

	if (pid == 0) /* a name that is no number */
		return;
	if (make_room(c) && process_read(pid, &c->out->list[c->out->count]))
		c->out->count++;
}

const struct process *descendants_find(const struct process_list *l, int pid)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (l->list[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->count && l->list[low].pid == pid ? &l->list[low] : NULL;
}

/* The list is in order of pid, as /proc is. */
static bool mark_children(struct process_list *l)
{
	bool found = false;

	for (size_t i = 0; i < l->count; i++) {
		const struct process *parent =
			l->list[i].is_descendant ? NULL : descendants_find(l, l->list[i].parent);

		if (parent && parent->is_descendant)
			found = l->list[i].is_descendant = true;
	}
	return found;
}

void descendants_list(struct arena *a, int root, struct process_list *out)
{
	struct collector c = { .arena = a, .out = out };
	size_t kept = 0;

	*out = (struct process_list){ 0 };
	out->no_proc = !processes_each(collect, &c) || out->count == 0;
	for (size_t i = 0; i < out->count; i++)
		out->list[i].is_descendant = out->list[i].pid == root;
	while (mark_children(out))
		;
	for (size_t i = 0; i < out->count; i++)
		if (out->list[i].is_descendant)
			out->list[kept++] = out->list[i];
	out->count = kept;
}
