/*
 * /debug/pprof/profile: starts a CPU profile, lets the server wait while it
 * runs, and sends what came of it.  The head goes out at once, so that a client
 * knows early that the profile is being taken.
 */
#include <string.h>
#include <time.h>

#include "http/download.h"
#include "http/handlers.h"
#include "http/params.h"
#include "http/tree_profile.h"
#include "proto/build.h"
#include "proto/owners.h"
#include "proto/share.h"
#include "proto/trim.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/cpu.h"

#define SECONDS_DEFAULT 30 /* as in Go */

/* What is needed when the time is up; lives in the exchange's arena. */
struct pending_profile {
	struct cpu_profile *profile;
	struct params query;
	int value;		   /* that texts are about */
	struct tree_profile *tree; /* NULL: this process alone */
	int64_t end_ns;
	bool is_stopped;
	int64_t own_ns; /* of our own thread, at the start */
};

static const struct profile_head kind = {
	.sample_type = { [CPU_VALUE_SAMPLES] = { "samples", "count" },
			 [CPU_VALUE_NS] = { "cpu", "nanoseconds" } },
	.sample_type_count = 2,
	.default_sample_type = "",
	.period_type = { "cpu", "nanoseconds" },
};

static struct http_response head_of(struct http_exchange *x, const struct params *p)
{
	return p->format == FORMAT_FILE ? download_of(x, "cpu")
					: (struct http_response){ .status = 200 };
}

/* The profile's threads as owners of its stacks: their numbers are the same. */
static bool take_owners(struct owner_table *t, struct arena *a, const struct cpu_labels *threads)
{
	t->arena = a;
	for (uint32_t i = 0; i < threads->count; i++) {
		const struct owner o = {
			0, threads->list[i].tid, "", threads->list[i].name, "", ""
		};

		if (owner_number(t, &o) != i + 1)
			return false;
	}
	return true;
}

static int64_t own_thread_ns(void)
{
	return sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int build_answer(struct arena *a, const struct pending_profile *w, struct bytes *out)
{
	const struct cpu_profile *p = w->profile;
	const struct stack_table *all = &p->stacks;
	struct owner_table owners = { 0 };
	struct profile_head head = kind;
	struct message m;

	head.period = p->period_ns;
	head.time_ns = p->start_epoch_ns;
	head.duration_ns = p->duration_ns;
	if (!take_owners(&owners, a, &p->labels))
		return -1;
	if (w->query.share)
		return share_write(a, &(struct share_head){ 2, own_thread_ns() - w->own_ns }, all,
				   &owners, out);
	head.labels = owner_labels(a, &owners);
	if (w->tree)
		all = tree_profile_merge(w->tree, a, all, &owners, &head);
	if (!w->query.labels)
		head.labels = NULL;
	if (!all)
		return -1;
	if (w->query.format == FORMAT_FILE)
		return build_profile(a, all, &head, w->query.detail, out);
	if (build_message(a, all, &head, w->query.detail, &m) != 0)
		return -1;
	trim_cancellable_call(a, &m);
	return format_write(a, &m, w->query.format, w->value, out);
}

static void profile_gone(void *arg)
{
	struct pending_profile *w = arg;

	cpu_profile_free(w->profile);
	if (w->tree)
		tree_profile_end(w->tree);
}

/* After the end, while members answer, nothing is sampled. */
static void stop_sampling(struct pending_profile *w)
{
	if (!w->is_stopped)
		cpu_profile_stop(w->profile);
	w->is_stopped = true;
}

static void profile_due(struct http_exchange *x, void *arg)
{
	struct pending_profile *w = arg;
	bool ends = http_is_hurried(x) || sys_now_ns() >= w->end_ns;
	int64_t again = w->tree ? tree_profile_look(w->tree, http_is_hurried(x)) : 0;
	struct bytes file = { 0 };
	int failed;

	if (ends)
		stop_sampling(w);
	if (again) {
		http_again(x, again);
		return;
	}
	failed = build_answer(http_arena(x), w, &file);
	profile_gone(w);
	if (failed)
		http_abort(x);
	else
		http_finish(x, file.at, file.len);
}

static void could_not_start(struct http_exchange *x, const char *why)
{
	static const char what[] = "Could not enable CPU profiling: ";
	size_t size = sizeof(what) + strlen(why);
	struct text t = { .at = arena_alloc(http_arena(x), size), .size = size };

	if (!t.at) {
		http_error(x, 500, "Could not enable CPU profiling: out of memory");
		return;
	}
	text_str(&t, what);
	text_str(&t, why);
	http_error(x, 500, t.at);
}

static void start_profile(struct http_exchange *x, const struct params *p,
			  struct pending_profile *w)
{
	const char *why = "unknown reason";
	struct http_pending pending = {
		.arg = w, .due = profile_due, .gone = profile_gone, .id = p->id
	};
	struct http_response head = head_of(x, p);

	w->own_ns = own_thread_ns();
	w->profile = cpu_profile_start(p->hz ? p->hz : routes_config()->default_hz, &why);
	if (!w->profile) {
		could_not_start(x, why);
		return;
	}
	w->end_ns = w->profile->start_ns +
		    (params_window_ns(p) ? params_window_ns(p) : SECONDS_DEFAULT * NS_PER_SECOND);
	if (tree_is_asked(x, &p->tree))
		w->tree = tree_profile_begin(http_arena(x), "profile", p, w->end_ns, 0);
	if (w->tree)
		tree_profile_use_clocks(w->tree);
	pending.due_ns = w->tree ? w->profile->start_ns : w->end_ns;
	http_begin(x, &head, &pending);
}

void cpu_route(struct http_exchange *x, const struct http_request *r)
{
	struct params p;
	struct pending_profile *w;
	struct http_response head;
	int value;

	if (!params_read(x, r, PARAMS_OF_CPU, &p) || !params_value(x, &p, &kind, &value))
		return;
	if (slice_equals(r->method, "HEAD")) {
		head = head_of(x, &p);
		http_begin(x, &head, NULL);
		return;
	}
	w = arena_alloc(http_arena(x), sizeof(*w));
	if (!w) {
		could_not_start(x, "out of memory");
		return;
	}
	w->query = p;
	w->value = value;
	start_profile(x, &p, w);
}
