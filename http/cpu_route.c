/* /debug/pprof/profile: the CPU profile. */
#include "http/cpu_head.h"
#include "http/timed_profile.h"
#include "sampler/base/counters.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/cpu.h"
#include "sampler/process/tasks.h"

#define MERGED_BYTES (32UL << 20)

static void *start(const struct params *p, int64_t *start_ns, const char **why)
{
	struct cpu_profile *profile =
		cpu_profile_start(p->hz ? p->hz : routes_config()->default_hz, why);

	if (profile)
		*start_ns = profile->start_ns;
	return profile;
}

static void stop(void *profile)
{
	cpu_profile_stop(profile);
}

static void give_back(void *profile)
{
	cpu_profile_free(profile);
}

/* The profile's threads as owners of its stacks: their numbers are the same. */
static bool take_owners(struct owner_table *t, const struct cpu_labels *threads)
{
	for (uint32_t i = 0; i < threads->count; i++) {
		const struct owner o = {
			.tid = threads->list[i].tid,
			.process = "",
			.thread = threads->list[i].name,
			.state = "",
			.wait_reason = "",
		};

		if (owner_number(t, &o) != i + 1)
			return false;
	}
	return true;
}

/* NULL: one that is not told apart. */
static uint32_t newborn(struct owner_table *owners, const struct born_process *process)
{
	const struct owner o = { .pid = process ? process->pid : 0,
				 .process = process ? process->name : "",
				 .thread = "",
				 .state = "",
				 .wait_reason = "",
				 .is_newborn = true };

	return owner_number(owners, &o);
}

/* In a table that is half full a new stack loses its label: here it would be taken for another's.
 */
static void add_as(struct stack_table *t, const struct stack *s, uint32_t label, uint32_t nobodys)
{
	static const uint64_t other = PSEUDO_OTHER;
	struct stack *to = stack_table_add_labelled(t, s->frame, s->depth, label);

	if (to && to->label != label)
		to = stack_table_add_labelled(t, &other, 1, nobodys);
	stack_add_values(to, s);
}

/* What processes did that were forked meanwhile is not weighed yet: see tree_newborns.h. */
static void add_children(struct cpu_profile *p, struct owner_table *owners)
{
	const struct born *b = p->born;
	uint32_t nobodys = newborn(owners, NULL);

	for (size_t i = 0; i < b->stacks.count; i++) {
		const struct stack *s = b->stacks.list[i];
		const struct born_process *process = s->label ? &b->list[s->label - 1] : NULL;

		add_as(&p->merged, s, newborn(owners, process), nobodys);
	}
}

/* Labels of threads are the numbers of their owners. */
static const struct stack_table *with_children(struct cpu_profile *p, struct owner_table *owners)
{
	stack_table_release(&p->merged);
	stack_table_init(&p->merged, MERGED_BYTES);
	for (size_t i = 0; i < p->stacks.count; i++) {
		const struct stack *s = p->stacks.list[i];

		stack_add_values(stack_table_add_labelled(&p->merged, s->frame, s->depth, s->label),
				 s);
	}
	add_children(p, owners);
	return &p->merged;
}

/* (H57, H200) */
static void tell_what_is_missing(struct profile_head *head)
{
	static const char *comment[2];
	size_t n = 0;

	if (tasks_dir() < 0)
		comment[n++] = "/proc is not there: the time of threads that were not seen to "
			       "start is [unsampled].";
	if (!carrier_may_reach(0) && counter_get(COUNTER_CPU_THREADS_STACK_UNSEEN))
		comment[n++] = "Threads that began after the attach are [unsampled], since they "
			       "may share the alternate stack of the one that was there; detach, "
			       "and attach again.";
	head->comment = comment;
	head->comment_count = n;
}

static const struct stack_table *stacks(void *profile, struct arena *a, struct owner_table *owners,
					struct profile_head *head)
{
	struct cpu_profile *p = profile;

	(void)a;
	head->period = p->period_ns;
	head->time_ns = p->start_epoch_ns;
	head->duration_ns = p->duration_ns;
	tell_what_is_missing(head);
	if (!take_owners(owners, &p->labels))
		return NULL;
	return p->born ? with_children(p, owners) : &p->stacks;
}

static void include_children(void *profile, int64_t until_ns)
{
	cpu_profile_include_children(profile, until_ns);
}

static void count_children(void *profile, struct share_head *head)
{
	struct nursery_counts c = cpu_profile_children(profile);

	head->born += c.born;
	head->ended += c.ended;
	head->ended_ns += c.ended_ns;
	head->tails_ns += c.tails_ns;
}

const struct timed_page cpu_page = {
	.name = "profile",
	.file = "cpu",
	.what = "CPU",
	.params = PARAMS_OF_CPU,
	.has_clocks = true,
	.can_be_read = true,
	.kind = &cpu_head,
	.start = start,
	.stop = stop,
	.free = give_back,
	.stacks = stacks,
	.include_children = include_children,
	.count_children = count_children,
};

void cpu_route(struct http_exchange *x, const struct http_request *r)
{
	timed_profile_route(x, r, &cpu_page);
}
