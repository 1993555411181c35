/*
 * /debug/pprof/profile: starts a CPU profile, lets the server wait while it
 * runs, and sends what came of it.  The head goes out at once, so that a client
 * knows early that the profile is being taken.
 */
#include <string.h>

#include "http/download.h"
#include "http/handlers.h"
#include "http/params.h"
#include "proto/build.h"
#include "proto/samples.h"
#include "proto/trim.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/cpu.h"

#define SECONDS_DEFAULT 30 /* as in Go */

/* What is needed when the time is up; lives in the exchange's arena. */
struct pending_profile {
	struct cpu_profile *profile;
	struct params query;
	int value; /* that texts are about */
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

/* In order of key, as Go writes them. */
static const struct sample_labels *labels_of(struct arena *a, const struct cpu_labels *threads)
{
	struct sample_labels *all = arena_array(a, threads->count, sizeof(*all));
	struct message_label *label = arena_array(a, threads->count, 2 * sizeof(*label));

	for (uint32_t i = 0; all && label && i < threads->count; i++, label += 2) {
		const struct cpu_label *t = &threads->list[i];

		all[i].label = label;
		if (*t->name)
			label[all[i].count++] =
				(struct message_label){ .key = "thread", .text = t->name };
		label[all[i].count++] =
			(struct message_label){ .key = "tid", .number = t->tid, .number_unit = "" };
	}
	return label ? all : NULL;
}

static int build_answer(struct arena *a, const struct pending_profile *w, struct bytes *out)
{
	const struct cpu_profile *p = w->profile;
	struct profile_head head = kind;
	struct message m;

	head.period = p->period_ns;
	head.time_ns = p->start_epoch_ns;
	head.duration_ns = p->duration_ns;
	head.labels = w->query.labels ? labels_of(a, &p->labels) : NULL;
	if (w->query.format == FORMAT_FILE)
		return build_profile(a, &p->stacks, &head, w->query.detail, out);
	if (build_message(a, &p->stacks, &head, w->query.detail, &m) != 0)
		return -1;
	trim_cancellable_call(a, &m);
	return format_write(a, &m, w->query.format, w->value, out);
}

static void profile_due(struct http_exchange *x, void *arg)
{
	struct pending_profile *w = arg;
	struct bytes file = { 0 };
	int failed;

	cpu_profile_stop(w->profile);
	failed = build_answer(http_arena(x), w, &file);
	cpu_profile_free(w->profile);
	if (failed)
		http_abort(x);
	else
		http_finish(x, file.at, file.len);
}

static void profile_gone(void *arg)
{
	struct pending_profile *w = arg;

	cpu_profile_free(w->profile);
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

	w->profile = cpu_profile_start(p->hz ? p->hz : routes_config()->default_hz, &why);
	if (!w->profile) {
		could_not_start(x, why);
		return;
	}
	pending.due_ns =
		w->profile->start_ns + (p->seconds ? p->seconds : SECONDS_DEFAULT) * NS_PER_SECOND;
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
