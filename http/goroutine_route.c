/*
 * /debug/pprof/goroutine: what Go shows of its goroutines, of threads.  The dump
 * is made in slices between which the server serves others; a client that goes
 * away ends it.
 */
#include <time.h>

#include "http/download.h"
#include "http/handlers.h"
#include "http/params.h"
#include "http/thread_view.h"
#include "http/tree_profile.h"
#include "proto/count_text.h"
#include "proto/share.h"
#include "proto/trim.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define DEBUG_TRACEBACKS 2 /* and more, as in Go */

/* Scrapers take 16000 samples; with more threads, equal stacks are one without their tids. */
#define TIDS_MAX 15000

/* Others wait for ticks of threads that run, as we do. */
/* And for a text that a person reads each finds its own names. */
#define TEXT_PATIENCE_NS (5 * NS_PER_SECOND)
#define TICK_PATIENCE_NS (1500 * NS_PER_MS)

#define SHARED_BYTES (24UL << 20)

/* A request under way; lives in the exchange's arena. */
struct request {
	struct params query;
	struct dump *before; /* of a difference; NULL: none, or it is being made */
	struct dump *now;    /* being made, or complete */
	bool is_complete;
	struct tree_profile *tree; /* NULL: this process alone */
	int64_t start_ns;
};

static const struct profile_head kind = {
	.sample_type = { { "goroutine", "count" } },
	.sample_type_count = 1,
	.default_sample_type = "",
	.period_type = { "goroutine", "count" },
	.period = 1,
};

static struct http_response response_of(struct http_exchange *x, const struct params *q)
{
	if (q->debug || q->format != FORMAT_FILE)
		return (struct http_response){ .status = 200 };
	return download_of(x, q->seconds ? "goroutine-delta" : "goroutine");
}

static void free_dump(struct dump **d)
{
	if (*d)
		dump_free(*d);
	*d = NULL;
}

static void gone(void *arg)
{
	struct request *r = arg;

	free_dump(&r->before);
	free_dump(&r->now);
	if (r->tree)
		tree_profile_end(r->tree);
	r->tree = NULL;
}

/* ---- the answer */

static struct profile_head head_of(const struct request *r)
{
	struct profile_head head = kind;

	head.time_ns = r->now->start_epoch_ns;
	head.duration_ns = r->before ? sys_now_ns() - r->start_ns : 0;
	return head;
}

/* The stacks of both in one table, so that equal ones are one sample. */
static bool join_stacks(struct request *r)
{
	for (uint32_t i = 0; r->before && i < r->before->count; i++) {
		struct dump_thread *t = &r->before->thread[i];
		const struct stack *old;
		struct stack *s;

		if (t->stack == DUMP_NO_STACK)
			continue;
		old = r->before->stacks.list[t->stack];
		s = stack_table_add(&r->now->stacks, old->frame, old->depth);
		if (!s)
			return false;
		s->value[0]++;
		t->stack = s->index;
	}
	return true;
}

static int fill_view(struct thread_view *v, struct arena *a, const struct request *r,
		     const struct message *m, const uint32_t *of_stack)
{
	uint32_t threads = r->now->count + (r->before ? r->before->count : 0);

	if (thread_view_init(v, a, threads) != 0)
		return -1;
	thread_view_add(v, r->now, m, of_stack, 1);
	if (r->before)
		thread_view_add(v, r->before, m, of_stack, -1);
	return 0;
}

static int write_form(struct arena *a, const struct request *r, struct message *m,
		      struct thread_view *v, struct bytes *out)
{
	const struct thread_list list = { v->entry, v->count };
	bool is_file = !r->query.debug && r->query.format == FORMAT_FILE;

	if (r->query.debug >= DEBUG_TRACEBACKS)
		return threads_text(a, m, &list,
				    thread_view_preface(v, a, r->now, r->query.share || r->tree),
				    out);
	if (threads_to_samples(a, &list, is_file && v->count <= TIDS_MAX, m) != 0)
		return -1;
	if (r->query.debug)
		return count_text(a, m, "goroutine", out);
	return is_file ? build_file(a, m, out)
		       : format_write(a, m, r->query.format, FORMAT_DEFAULT_VALUE, out);
}

/* ---- for a tree */

/* The threads' stacks, each with its thread as its owner; `of`: NULL for this process. */
static void tell_owners(struct stack_table *t, struct owner_table *owners,
			const struct thread_view *v, const struct dump *d, const struct process *of)
{
	for (uint32_t i = 0; i < v->count; i++) {
		const struct thread_entry *e = &v->entry[i];
		const struct stack *at = d->stacks.list[v->thread[i]->stack];
		const struct owner o = { .pid = of ? of->pid : 0,
					 .tid = e->tid,
					 .process = of ? of->name : "",
					 .thread = e->name,
					 .state = e->state,
					 .wait_reason = e->reason ? e->reason : "" };
		struct stack *s =
			stack_table_add_labelled(t, at->frame, at->depth, owner_number(owners, &o));

		if (s)
			s->value[0] += e->weight;
	}
}

static int build_merged(struct arena *a, const struct request *r, const struct stack_table *own,
			const struct owner_table *owners, struct bytes *out)
{
	struct profile_head head = head_of(r);
	const struct stack_table *all = tree_profile_merge(r->tree, a, own, owners, &head);
	struct message m;

	if (!all || build_message(a, all, &head, r->query.detail, &m) != 0)
		return -1;
	thread_view_refine(a, &m);
	trim_cancellable_call(a, &m);
	return r->query.debug ? count_text(a, &m, "goroutine", out) : build_file(a, &m, out);
}

/* What is shared with the process that has the port, or with what others share. */
static int build_shared(struct arena *a, const struct request *r, const struct thread_view *v,
			struct bytes *out)
{
	struct owner_table owners = { .arena = a };
	struct stack_table own;
	int failed;

	stack_table_init(&own, SHARED_BYTES);
	tell_owners(&own, &owners, v, r->now, NULL);
	failed = r->query.share
			 ? share_write(a, &(struct share_head){ .values = 1 }, &own, &owners, out)
			 : build_merged(a, r, &own, &owners, out);
	stack_table_release(&own);
	return failed;
}

static bool is_shared(const struct request *r)
{
	return r->query.debug < DEBUG_TRACEBACKS && (r->query.share || r->tree);
}

static int build_alone(struct arena *a, struct request *r, struct bytes *out)
{
	struct profile_head head = head_of(r);
	const uint32_t *of_stack;
	struct thread_view view;
	struct message m;

	if (build_message_of(a, &r->now->stacks, &head, r->query.detail, &m, &of_stack) != 0)
		return -1;
	if (fill_view(&view, a, r, &m, of_stack) != 0)
		return -1;
	trim_cancellable_call(a, &m);
	if (write_form(a, r, &m, &view, out) != 0)
		return -1;
	return r->tree ? tree_profile_join_texts(r->tree, a, *out, out) : 0;
}

static int build_answer(struct arena *a, struct request *r, struct bytes *out)
{
	struct thread_view view;

	if (!join_stacks(r))
		return -1;
	if (!is_shared(r))
		return build_alone(a, r, out);
	if (thread_view_nameless(&view, a, r->now, r->before) != 0)
		return -1;
	return build_shared(a, r, &view, out);
}

static void answer(struct http_exchange *x, struct request *r)
{
	struct bytes out = { 0 };
	int failed = build_answer(http_arena(x), r, &out);

	gone(r);
	if (failed)
		http_abort(x);
	else
		http_finish(x, out.at, out.len);
}

static int64_t window_ns(const struct request *r)
{
	return params_window_ns(&r->query);
}

/* ---- those that did not answer */

struct taker {
	struct arena *arena;
	struct request *request;
};

static int write_text_of(struct arena *a, const struct request *r, const struct dump *d,
			 struct bytes *out)
{
	struct profile_head head = kind;
	const uint32_t *of_stack;
	struct thread_view v;
	struct message m;

	if (build_message_of(a, &d->stacks, &head, r->query.detail, &m, &of_stack) != 0 ||
	    thread_view_init(&v, a, d->count) != 0)
		return -1;
	thread_view_add(&v, d, &m, of_stack, 1);
	trim_cancellable_call(a, &m);
	return threads_text(a, &m, &(struct thread_list){ v.entry, v.count }, "", out);
}

static void take_text(void *arg, const struct dump *d, const struct process *of)
{
	struct taker *k = arg;
	struct tree_text *t = arena_alloc(k->arena, sizeof(*t));

	if (!t || write_text_of(k->arena, k->request, d, &t->bytes) != 0)
		return;
	t->of = of;
	t->next = k->request->tree->sleepers_text;
	k->request->tree->sleepers_text = t;
}

static void take_stacks(void *arg, const struct dump *d, const struct process *of)
{
	struct taker *k = arg;
	struct sleepers *s = &k->request->tree->sleepers;
	struct thread_view v;

	if (thread_view_nameless(&v, k->arena, d, NULL) == 0)
		tell_owners(&s->stacks, &s->owners, &v, d, of);
}

/* When to go on; 0: all were looked at. */
static int64_t look_at_sleepers(struct http_exchange *x, struct request *r)
{
	struct taker k = { http_arena(x), r };
	bool is_text = r->query.debug >= DEBUG_TRACEBACKS;

	if (!r->tree || window_ns(r)) /* who sleeps makes no difference */
		return 0;
	return sleepers_look(
		&r->tree->sleepers, &r->tree->request, k.arena,
		&(struct sleepers_want){ .take = is_text ? take_text : take_stacks,
					 .arg = &k,
					 .patience_ns = is_text ? TEXT_PATIENCE_NS
								: SLEEPERS_PATIENCE_NS });
}

/* ---- the work */

static bool start_dump(struct request *r)
{
	r->now = dump_start(r->query.debug >= DEBUG_TRACEBACKS);
	return r->now != NULL;
}

/* Between the two dumps of a difference nothing is done. */
static void wait_for_second(struct http_exchange *x, struct request *r)
{
	r->before = r->now;
	r->now = NULL;
	http_again(x, r->start_ns + window_ns(r));
}

/* They have as much to do as we had: nobody is late before this process is ready. */
static void wait_for_others(struct http_exchange *x, struct request *r)
{
	r->is_complete = true;
	tree_close(&r->tree->request);
	http_again(x, sys_now_ns());
}

static void due(struct http_exchange *x, void *arg)
{
	struct request *r = arg;
	int64_t again, of_tree;

	if (!r->now && !start_dump(r)) {
		gone(r);
		http_abort(x);
		return;
	}
	of_tree = r->tree ? tree_profile_look(r->tree, http_is_hurried(x)) : 0;
	again = r->is_complete ? of_tree : dump_step(r->now);
	if (!again && r->is_complete)
		again = look_at_sleepers(x, r);
	if (again)
		http_again(x, again);
	else if (window_ns(r) && !r->before)
		wait_for_second(x, r);
	else if (r->tree && !r->is_complete)
		wait_for_others(x, r);
	else
		answer(x, r);
}

static void begin_answer(struct http_exchange *x, const struct params *q)
{
	struct request *r = arena_alloc(http_arena(x), sizeof(*r));
	struct http_pending pending = { .arg = r, .due = due, .gone = gone, .id = q->id };
	struct http_response head = response_of(x, q);

	if (r)
		r->query = *q;
	if (!r || !start_dump(r)) {
		http_error(x, 500, "failed to collect profile");
		return;
	}
	r->start_ns = sys_now_ns();
	if (tree_is_asked(x, &q->tree))
		r->tree = tree_profile_begin(http_arena(x), "goroutine", q,
					     window_ns(r) ? r->start_ns + window_ns(r) : 0,
					     q->debug >= DEBUG_TRACEBACKS ? TEXT_PATIENCE_NS
									  : TICK_PATIENCE_NS);
	if (r->tree)
		tree_keep_open(&r->tree->request);
	pending.due_ns = r->start_ns;
	http_begin(x, &head, &pending);
}

/* HEAD looks at no thread. */
void goroutine_route(struct http_exchange *x, const struct http_request *r)
{
	struct params q;
	struct http_response head;
	int value;

	if (!params_read(x, r, PARAMS_OF_SNAPSHOT, &q) || !params_value(x, &q, &kind, &value))
		return;
	head = response_of(x, &q);
	if (slice_equals(r->method, "HEAD"))
		http_begin(x, &head, NULL);
	else
		begin_answer(x, &q);
}
