/*
 * /debug/pprof/wall, and /debug/fgprof and /debug/pprof/fgprof, where scrapers look for
 * such a profile: where the time of all threads goes.
 */
#include <string.h>

#include "http/thread_view.h"
#include "http/timed_profile.h"
#include "http/wall_comments.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/wall/spread.h"
#include "sampler/wall/wall.h"

enum wall_value { WALL_VALUE_SAMPLES, WALL_VALUE_NS };

static const struct profile_head kind = {
	.sample_type = { [WALL_VALUE_SAMPLES] = { "samples", "count" },
			 [WALL_VALUE_NS] = { "wall", "nanoseconds" } },
	.sample_type_count = 2,
	.default_sample_type = "wall",
	.period_type = { "wall", "nanoseconds" },
};

#define STACKS_BYTES (32UL << 20)

/* With more, threads that are alike are one: scrapers take 16000 samples. */
#define PARTS_MAX 6000

struct page_profile {
	struct wall_profile *wall;
	struct stack_table stacks; /* filled after the end */
};

static const char *const state_names[] = {
	[WALL_RUNNING] = "running", [WALL_RUNNABLE] = "runnable", [WALL_BLOCKED] = "blocked"
};

static void *start(const struct params *p, int64_t *start_ns, const char **why)
{
	struct page_profile *w = sys_map(sizeof(*w));

	*why = "no memory for a profile";
	if (!w)
		return NULL;
	stack_table_init(&w->stacks, STACKS_BYTES);
	w->wall = wall_start(p->hz ? p->hz : WALL_HZ_DEFAULT, routes_config()->default_hz, why);
	*start_ns = sys_now_ns(); /* with many threads it takes a while to begin */
	if (w->wall)
		return w;
	sys_unmap(w, sizeof(*w));
	return NULL;
}

static int64_t step(void *profile)
{
	return wall_step(((struct page_profile *)profile)->wall);
}

static void stop(void *profile)
{
	wall_stop(((struct page_profile *)profile)->wall);
}

static void give_back(void *profile)
{
	struct page_profile *w = profile;

	wall_free(w->wall);
	stack_table_release(&w->stacks);
	sys_unmap(w, sizeof(*w));
}

/* ---- the answer */

struct filling {
	struct stack_table *stacks;
	struct owner_table *owners;
};

static void add_part(void *arg, const struct wall_part *part)
{
	struct filling *f = arg;
	const struct owner o = { .tid = part->tid,
				 .process = "",
				 .thread = part->thread,
				 .state = state_names[part->state],
				 .wait_reason = part->reason,
				 .is_idle = part->is_idle };
	struct stack *s = stack_table_add_labelled(f->stacks, part->frame, part->depth,
						   owner_number(f->owners, &o));

	if (s)
		s->value[WALL_VALUE_NS] += part->ns;
}

/* As in a CPU profile: samples times period is the time. */
static void count_samples(const struct stack_table *t, int64_t period)
{
	for (size_t i = 0; i < t->count; i++) {
		int64_t ns = t->list[i]->value[WALL_VALUE_NS];

		t->list[i]->value[WALL_VALUE_SAMPLES] = MAX((ns + period / 2) / period, 1);
	}
}

static void count_part(void *arg, const struct wall_part *part)
{
	*(size_t *)arg += part->ns > 0;
}

static const struct stack_table *stacks(void *profile, struct arena *a, struct owner_table *owners,
					struct profile_head *head)
{
	struct page_profile *w = profile;
	struct filling f = { &w->stacks, owners };
	struct wall_summary s;
	size_t parts = 0;

	wall_each(w->wall, count_part, &parts);
	owners->without_tids = parts > PARTS_MAX;
	wall_each(w->wall, add_part, &f);
	s = wall_summary(w->wall);
	count_samples(&w->stacks, s.period_ns);
	head->period = s.period_ns;
	head->time_ns = s.start_epoch_ns;
	head->duration_ns = s.duration_ns;
	wall_comments(&s, owners->without_tids, a, head);
	return &w->stacks;
}

/* It has not run, so each thread was all the time where it is. */
static void take_sleeper(void *profile, struct arena *a, struct sleepers *s, const struct dump *d,
			 const struct process *of)
{
	struct wall_summary sum = wall_summary(((struct page_profile *)profile)->wall);
	struct thread_view v;

	if (thread_view_nameless(&v, a, d, NULL) != 0)
		return;
	for (uint32_t i = 0; i < v.count; i++) {
		const struct stack *at = d->stacks.list[v.thread[i]->stack];
		const struct owner o = { .pid = of->pid,
					 .tid = v.entry[i].tid,
					 .process = of->name,
					 .thread = v.entry[i].name,
					 .state = state_names[WALL_BLOCKED],
					 .wait_reason = v.entry[i].reason ? v.entry[i].reason : "",
					 .is_idle = true };
		struct stack *t = stack_table_add_labelled(&s->stacks, at->frame, at->depth,
							   owner_number(&s->owners, &o));

		if (t)
			t->value[WALL_VALUE_NS] += sum.duration_ns;
	}
	count_samples(&s->stacks, sum.period_ns);
}

const struct timed_page wall_page = {
	.name = "wall",
	.file = "wall",
	.what = "wall-clock",
	.params = PARAMS_OF_WALL,
	.kind = &kind,
	.start = start,
	.step = step,
	.stop = stop,
	.free = give_back,
	.stacks = stacks,
	.take_sleeper = take_sleeper,
	.refine = thread_view_refine,
};

void wall_route(struct http_exchange *x, const struct http_request *r)
{
	timed_profile_route(x, r, &wall_page);
}
