#include "http/snapshot_route.h"

#include <string.h>
#include <time.h>

#include "http/download.h"
#include "http/params.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define SNAPSHOT_BYTES (24UL << 20)

/* How it is to be answered. */
struct question {
	struct params params;
	int value; /* that texts are about */
};

/* A delta under way; lives in the exchange's arena. */
struct delta {
	const struct snapshot_page *page;
	struct stack_table before;
	struct question q;
	int64_t start_ns;
};

static struct profile_head head_of(const struct snapshot_page *page)
{
	struct profile_head head = { .default_sample_type = page->default_sample_type,
				     .time_ns = sys_clock_ns(CLOCK_REALTIME) };

	page->fill_head(&head);
	return head;
}

/* ---- a snapshot */

static void take_snapshot(const struct snapshot_page *page, struct stack_table *t)
{
	stack_table_init(t, SNAPSHOT_BYTES);
	page->snapshot(t);
}

static bool is_file(const struct params *p)
{
	return !p->debug && p->format == FORMAT_FILE;
}

static struct http_response response_of(struct http_exchange *x, const struct params *p,
					const char *name)
{
	return is_file(p) ? download_of(x, name) : (struct http_response){ .status = 200 };
}

static int build_answer(struct arena *a, const struct snapshot_page *page,
			const struct stack_table *t, const struct profile_head *head,
			const struct question *q, struct bytes *out)
{
	struct message m;

	if (build_message(a, t, head, q->params.detail, &m) != 0)
		return -1;
	if (page->trim)
		page->trim(a, &m);
	if (q->params.debug)
		return page->text(a, &m, out);
	return is_file(&q->params) ? build_file(a, &m, out)
				   : format_write(a, &m, q->params.format, q->value, out);
}

static void send_snapshot(struct http_exchange *x, const struct snapshot_page *page,
			  const struct question *q)
{
	struct profile_head head;
	struct http_response r = response_of(x, &q->params, page->name);
	struct stack_table t;
	struct bytes out = { 0 };
	int failed;

	take_snapshot(page, &t);
	head = head_of(page);
	failed = build_answer(http_arena(x), page, &t, &head, q, &out);
	stack_table_release(&t);
	if (failed) {
		http_error(x, 500, "failed to collect profile");
		return;
	}
	r.body = out.at;
	r.body_len = out.len;
	http_respond(x, &r);
}

uint64_t snapshot_count(const struct snapshot_page *page)
{
	struct stack_table t;
	uint64_t count;

	if (page->refusal())
		return 0;
	take_snapshot(page, &t);
	count = t.count;
	stack_table_release(&t);
	return count;
}

/* ---- a delta */

static void subtract(struct stack_table *from, const struct stack_table *what)
{
	for (size_t i = 0; i < what->count; i++) {
		const struct stack *old = what->list[i];
		struct stack *s = stack_table_add(from, old->frame, old->depth);

		for (int k = 0; s && k < STACK_VALUES_MAX; k++)
			s->value[k] -= old->value[k];
	}
}

static void delta_over(void *arg)
{
	struct delta *d = arg;

	if (d->page->delta_ends)
		d->page->delta_ends();
	stack_table_release(&d->before);
}

static void delta_due(struct http_exchange *x, void *arg)
{
	struct delta *d = arg;
	struct profile_head head;
	struct stack_table now;
	struct bytes out = { 0 };
	int failed;

	take_snapshot(d->page, &now);
	head = head_of(d->page);
	subtract(&now, &d->before);
	head.duration_ns = sys_now_ns() - d->start_ns;
	failed = build_answer(http_arena(x), d->page, &now, &head, &d->q, &out);
	stack_table_release(&now);
	delta_over(d);
	if (failed)
		http_abort(x);
	else
		http_finish(x, out.at, out.len);
}

static void start_delta(struct http_exchange *x, const struct snapshot_page *page,
			const struct question *q)
{
	struct delta *d = arena_alloc(http_arena(x), sizeof(*d));
	struct http_response r = response_of(x, &q->params, page->delta_name);
	struct http_pending pending = {
		.arg = d, .due = delta_due, .gone = delta_over, .id = q->params.id
	};

	if (!d) {
		http_error(x, 500, "failed to collect profile");
		return;
	}
	d->page = page;
	d->q = *q;
	take_snapshot(page, &d->before);
	d->start_ns = sys_now_ns();
	if (page->delta_begins)
		page->delta_begins();
	pending.due_ns = d->start_ns + q->params.seconds * NS_PER_SECOND;
	http_begin(x, &r, &pending);
}

/* ---- requests */

static void serve_page(struct http_exchange *x, const struct question *q,
		       const struct snapshot_page *page)
{
	const char *refusal = page->refusal();

	if (refusal)
		http_error(x, 500, refusal);
	else if (q->params.seconds)
		start_delta(x, page, q);
	else
		send_snapshot(x, page, q);
}

/* HEAD takes no snapshot; its answer is what the file's head would say. */
void snapshot_route(struct http_exchange *x, const struct http_request *r,
		    const struct snapshot_page *page)
{
	struct profile_head types = { 0 };
	struct http_response head;
	struct question q;

	page->fill_head(&types);
	if (!params_read(x, r, PARAMS_OF_SNAPSHOT, &q.params) ||
	    !params_value(x, &q.params, &types, &q.value))
		return;
	head = response_of(x, &q.params, page->name);
	if (slice_equals(r->method, "HEAD"))
		http_begin(x, &head, NULL);
	else
		serve_page(x, &q, page);
}
