/*
 * /debug/pprof/heap and /debug/pprof/allocs: the same samples, another default
 * view.  With seconds=N the difference between two snapshots, with debug=1 text.
 *
 * gc=1, which makes a Go program collect its garbage first, is accepted and
 * does nothing: native memory has no collector, and returning free memory to the
 * kernel (malloc_trim) would hold the allocator's locks while the target runs.
 */
#include <string.h>
#include <time.h>

#include "http/handlers.h"
#include "proto/build.h"
#include "proto/heap_text.h"
#include "proto/trim.h"
#include "sampler/heap.h"
#include "sampler/sys.h"
#include "shim/cc.h"

#define SNAPSHOT_BYTES (24UL << 20)

/* What tells the two pages apart. */
struct heap_page {
	const char *name, *delta_name, *default_sample_type;
};

static const struct heap_page heap_page = { "heap", "heap-delta", "" };
static const struct heap_page allocs_page = { "allocs", "allocs-delta", "alloc_space" };

static const char *const hidden_comment = "The program brings its own malloc, which hides ours: "
					  "what it allocates with that is not here.";

/* A delta under way; lives in the exchange's arena. */
struct heap_wait {
	const struct heap_page *page;
	struct stack_table before;
	enum symbols_detail detail;
	int64_t start_ns;
};

static struct profile_head head_of(const struct heap_page *page)
{
	return (struct profile_head){
		.sample_type = { [HEAP_VALUE_ALLOC_OBJECTS] = { "alloc_objects", "count" },
				 [HEAP_VALUE_ALLOC_BYTES] = { "alloc_space", "bytes" },
				 [HEAP_VALUE_INUSE_OBJECTS] = { "inuse_objects", "count" },
				 [HEAP_VALUE_INUSE_BYTES] = { "inuse_space", "bytes" } },
		.sample_type_count = 4,
		.default_sample_type = page->default_sample_type,
		.period_type = { "space", "bytes" },
		.period = (int64_t)heap_rate(),
		.time_ns = sys_clock_ns(CLOCK_REALTIME),
	};
}

static struct http_response file_response(const char *name)
{
	return (struct http_response){ .status = 200,
				       .content_type = "application/octet-stream",
				       .filename = name };
}

/* ---- a snapshot */

static void snapshot(struct stack_table *t)
{
	stack_table_init(t, SNAPSHOT_BYTES);
	heap_snapshot(t);
}

static int build(struct arena *a, const struct stack_table *t, struct profile_head *head,
		 enum symbols_detail detail, bool as_text, struct bytes *out)
{
	struct message m;

	if (!heap_sees_program()) {
		head->comment = &hidden_comment;
		head->comment_count = 1;
	}
	if (build_message(a, t, head, detail, &m) != 0)
		return -1;
	trim_operator_new(a, &m);
	return as_text ? heap_text(a, &m, out) : build_file(a, &m, out);
}

static void send_snapshot(struct http_exchange *x, const struct heap_page *page,
			  enum symbols_detail detail, bool as_text)
{
	struct profile_head head = head_of(page);
	struct http_response r =
		as_text ? (struct http_response){ .status = 200 } : file_response(page->name);
	struct stack_table t;
	struct bytes out = { 0 };
	int failed;

	snapshot(&t);
	failed = build(http_arena(x), &t, &head, detail, as_text, &out);
	stack_table_release(&t);
	if (failed) {
		http_error(x, 500, "failed to collect profile");
		return;
	}
	r.body = out.at;
	r.body_len = out.len;
	http_respond(x, &r);
}

/* ---- a delta */

static void subtract(struct stack_table *from, const struct stack_table *what)
{
	for (size_t i = 0; i < what->count; i++) {
		const struct stack *old = what->list[i];
		struct stack *s = stack_table_add(from, old->pc, old->depth, old->generation);

		for (int k = 0; s && k < STACK_VALUES_MAX; k++)
			s->value[k] -= old->value[k];
	}
}

static void delta_due(struct http_exchange *x, void *arg)
{
	struct heap_wait *w = arg;
	struct profile_head head = head_of(w->page);
	struct stack_table now;
	struct bytes out = { 0 };
	int failed;

	snapshot(&now);
	subtract(&now, &w->before);
	head.duration_ns = sys_now_ns() - w->start_ns;
	failed = build(http_arena(x), &now, &head, w->detail, false, &out);
	stack_table_release(&now);
	stack_table_release(&w->before);
	if (failed)
		http_abort(x);
	else
		http_finish(x, out.at, out.len);
}

static void delta_gone(void *arg)
{
	struct heap_wait *w = arg;

	stack_table_release(&w->before);
}

static void start_delta(struct http_exchange *x, const struct heap_page *page, int64_t seconds,
			enum symbols_detail detail)
{
	struct heap_wait *w = arena_alloc(http_arena(x), sizeof(*w));
	struct http_response r = file_response(page->delta_name);
	struct http_waiter waiter = { .arg = w, .due = delta_due, .gone = delta_gone };

	if (!w) {
		http_error(x, 500, "failed to collect profile");
		return;
	}
	w->page = page;
	w->detail = detail;
	w->start_ns = sys_now_ns();
	snapshot(&w->before);
	waiter.due_ns = w->start_ns + seconds * NS_PER_SECOND;
	http_begin(x, &r, &waiter);
}

/* ---- requests */

#define SECONDS_MAX 3600

static bool is_set(const struct http_request *r, const char *key, int64_t *value)
{
	char text[32];

	if (!http_query(r, key, text, sizeof(text)))
		return false;
	if (!http_query_number(r, key, value))
		*value = 0;
	return true;
}

static void serve(struct http_exchange *x, const struct http_request *r,
		  const struct heap_page *page)
{
	int64_t seconds = 0, debug = 0, lines = 1;
	bool has_seconds = is_set(r, "seconds", &seconds);
	enum symbols_detail detail;

	is_set(r, "debug", &debug);
	is_set(r, "lines", &lines);
	detail = lines ? SYMBOLS_LINES : SYMBOLS_NAMES;
	if (!heap_is_on())
		http_error(x, 500, "heap profiling is off: PPROF_HEAP_RATE is 0");
	else if (has_seconds && seconds <= 0)
		http_error(x, 400, "invalid value for \"seconds\" - must be a positive integer");
	else if (has_seconds && debug)
		http_error(x, 400, "seconds and debug params are incompatible");
	else if (has_seconds)
		start_delta(x, page, MIN(seconds, SECONDS_MAX), detail);
	else
		send_snapshot(x, page, detail, debug != 0);
}

/* HEAD takes no snapshot; its answer is what the file's head would say. */
static void serve_page(struct http_exchange *x, const struct http_request *r,
		       const struct heap_page *page)
{
	struct http_response head = file_response(page->name);

	if (slice_equals(r->method, "HEAD"))
		http_begin(x, &head, NULL);
	else
		serve(x, r, page);
}

void heap_route(struct http_exchange *x, const struct http_request *r)
{
	serve_page(x, r, &heap_page);
}

void allocs_route(struct http_exchange *x, const struct http_request *r)
{
	serve_page(x, r, &allocs_page);
}
