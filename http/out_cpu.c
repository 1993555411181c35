#include "http/out_cpu.h"

#include "http/cpu_head.h"
#include "proto/owners.h"
#include "proto/trim.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/cpu.h"

#define SUM_BYTES    (24UL << 20)
#define OWNERS_BYTES (2UL << 20)

static struct {
	struct cpu_profile *window; /* under way; NULL: nothing is sampled */
	int hz;
	struct arena memory; /* of the owners */
	struct owner_table owners;
	struct stack_table sum; /* label: the number of an owner */
	bool has_sum;
	int64_t start_ns, start_epoch_ns, period_ns; /* of the first window */
} out;

static void begin_sum(const struct cpu_profile *first)
{
	if (out.has_sum)
		return;
	out.memory = (struct arena)ARENA_INIT(OWNERS_BYTES);
	out.owners = (struct owner_table){ .arena = &out.memory };
	stack_table_init(&out.sum, SUM_BYTES);
	out.start_ns = first->start_ns;
	out.start_epoch_ns = first->start_epoch_ns;
	out.period_ns = first->period_ns;
	out.has_sum = true;
}

bool out_cpu_begin(int hz, const char **why)
{
	if (out.window)
		return true;
	out.hz = hz;
	cpu_expect_short_life();
	out.window = cpu_profile_start(hz, why);
	if (out.window)
		begin_sum(out.window);
	return out.window != NULL;
}

static uint32_t owner_of(const struct cpu_labels *threads, uint32_t label)
{
	const struct cpu_label *thread = label ? &threads->list[label - 1] : NULL;

	if (!thread)
		return 0;
	return owner_number(&out.owners, &(struct owner){ .tid = thread->tid,
							  .process = "",
							  .thread = thread->name,
							  .state = "",
							  .wait_reason = "" });
}

static void add_window(const struct cpu_profile *p)
{
	for (size_t i = 0; i < p->stacks.count; i++) {
		const struct stack *s = p->stacks.list[i];
		struct stack *to;

		if (!s->value[CPU_VALUE_SAMPLES] && !s->value[CPU_VALUE_NS])
			continue;
		to = stack_table_add_labelled(&out.sum, s->frame, s->depth,
					      owner_of(&p->labels, s->label));
		for (int k = 0; to && k <= CPU_VALUE_NS; k++)
			to->value[k] += s->value[k];
	}
}

static void end_window(struct cpu_profile *p)
{
	cpu_profile_stop(p);
	add_window(p);
	cpu_profile_free(p);
}

static void turn(void)
{
	struct cpu_profile *last = out.window;
	const char *why;

	if (!last)
		return;
	out.window = cpu_profile_start(out.hz, &why);
	end_window(last);
}

void out_cpu_end(void)
{
	if (out.window)
		end_window(out.window);
	out.window = NULL;
}

static int64_t total_ns(void)
{
	int64_t ns = 0;

	for (size_t i = 0; i < out.sum.count; i++)
		ns += out.sum.list[i]->value[CPU_VALUE_NS];
	return ns;
}

/* What there can be at most. */
static int64_t used_ns(void)
{
	return sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t out_cpu_message(struct arena *a, int64_t least_ns, struct message *message)
{
	struct profile_head head = cpu_head;
	int64_t ns;

	if (!out.has_sum || used_ns() < least_ns)
		return 0;
	turn();
	ns = total_ns();
	if (ns < least_ns)
		return ns;
	head.period = out.period_ns;
	head.time_ns = out.start_epoch_ns;
	head.duration_ns = sys_now_ns() - out.start_ns;
	head.labels = owner_labels(a, &out.owners);
	if (build_message(a, &out.sum, &head, SYMBOLS_LINES, message) != 0)
		return -1;
	trim_cancellable_call(a, message);
	return ns;
}

void out_cpu_after_fork(void)
{
	out.window = NULL;
	out.has_sum = false;
	out.memory = (struct arena){ 0 };
}
