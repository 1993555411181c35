/* /debug/pprof/profile: the CPU profile. */
#include "http/cpu_head.h"
#include "http/timed_profile.h"
#include "sampler/cpu/cpu.h"

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

static const struct stack_table *stacks(void *profile, struct arena *a, struct owner_table *owners,
					struct profile_head *head)
{
	const struct cpu_profile *p = profile;

	(void)a;
	head->period = p->period_ns;
	head->time_ns = p->start_epoch_ns;
	head->duration_ns = p->duration_ns;
	return take_owners(owners, &p->labels) ? &p->stacks : NULL;
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
};

void cpu_route(struct http_exchange *x, const struct http_request *r)
{
	timed_profile_route(x, r, &cpu_page);
}
