#include "http/snapshot_route.h"

#include <string.h>
#include <time.h>

#include "http/download.h"
#include "http/params.h"
#include "http/routes_config.h"
#include "http/tree_profile.h"
#include "proto/comments.h"
#include "proto/owners.h"
#include "proto/share.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/heap/heap.h"

#define SNAPSHOT_BYTES (24UL << 20)
#define SENTENCE_BYTES 256

/* A request under way; lives in the exchange's arena. */
struct request {
	const struct snapshot_page *page;
	struct params query;
	int value;		   /* that texts are about */
	struct stack_table before; /* of a difference */
	int64_t start_ns, end_ns;  /* of a difference; else both the same */
	bool is_delta;
	uint64_t unasked_before, unasked_bytes_before; /* of a difference, see tell_unasked() */
	struct tree_profile *tree;		       /* NULL: this process alone */
};

static struct profile_head head_of(const struct snapshot_page *page)
{
	struct profile_head head = { .default_sample_type = page->default_sample_type,
				     .time_ns = sys_clock_ns(CLOCK_REALTIME) };

	page->fill_head(&head);
	return head;
}

/* ---- a snapshot */

static void take_snapshot(const struct snapshot_page *page, struct stack_table *t, bool own)
{
	stack_table_init(t, SNAPSHOT_BYTES);
	page->snapshot(t, own);
}

static void take_what_is_asked(const struct request *r, struct stack_table *t)
{
	stack_table_init(t, SNAPSHOT_BYTES);
	if (r->query.peak)
		r->page->snapshot_peak(t);
	else if (r->query.older_s || r->query.ages)
		r->page->snapshot_older(t, r->query.share, r->query.older_s, r->query.ages);
	else
		r->page->snapshot(t, r->query.share);
}

uint64_t snapshot_count(const struct snapshot_page *page)
{
	struct stack_table t;
	uint64_t count;

	if (page->refusal())
		return 0;
	take_snapshot(page, &t, false);
	count = t.count;
	stack_table_release(&t);
	return count;
}

/* ---- the answer */

static bool is_file(const struct params *p)
{
	return !p->debug && p->format == FORMAT_FILE;
}

static int write_form(struct arena *a, const struct request *r, const struct stack_table *t,
		      const struct profile_head *head, struct bytes *out)
{
	struct message m;

	if (build_message(a, t, head, r->query.detail, &m) != 0)
		return -1;
	if (r->page->trim)
		r->page->trim(a, &m);
	if (r->query.debug)
		return r->page->text(a, &m, out);
	return is_file(&r->query) ? build_file(a, &m, out)
				  : format_write(a, &m, r->query.format, r->value, out);
}

/* Label n of the stacks is such an age; false without memory. */
static bool take_ages(struct owner_table *owners)
{
	for (uint32_t n = 1; n <= HEAP_AGES; n++) {
		const struct owner o = {
			.process = "",
			.thread = "",
			.state = "",
			.wait_reason = "",
			.age_s = heap_age_s(n),
		};

		if (owner_number(owners, &o) != n)
			return false;
	}
	return true;
}

/* Only what is in use, and those that ended have nothing in use. */
static bool is_of_memory_alone(const struct params *p)
{
	return p->older_s || p->ages || p->peak;
}

static uint64_t ended_unasked(const struct request *r, uint64_t *allocated)
{
	*allocated = 0;
	return routes_config()->ended_unasked
		       ? routes_config()->ended_unasked(r->query.share, allocated)
		       : 0;
}

static const char *unasked_sentence(struct arena *a, const struct request *r)
{
	struct text t = { .at = arena_alloc(a, SENTENCE_BYTES), .size = SENTENCE_BYTES };
	uint64_t allocated, count = ended_unasked(r, &allocated) - r->unasked_before;

	if (!t.at || !count)
		return NULL;
	text_str(&t, "Processes that were forked and ended before anybody asked them: ");
	text_u64(&t, count);
	text_str(&t, ", at least; what they ");
	text_str(&t, r->page->what_they_did);
	text_str(&t, " is not here");
	if (r->page->tells_bytes) {
		text_str(&t, " (about ");
		text_u64(&t, allocated - r->unasked_bytes_before);
		text_str(&t, " bytes)");
	}
	text_char(&t, '.');
	return t.at;
}

/* Of those that it forked a process knows; a member tells of its own. */
static void tell_unasked(struct arena *a, const struct request *r, struct profile_head *head)
{
	if (r->page->what_they_did && !is_of_memory_alone(&r->query) && !r->query.tree.pid_count &&
	    !*r->query.tree.name)
		comments_insert(a, &head->comment, &head->comment_count, head->comment_count,
				unasked_sentence(a, r));
}

/* `t` is of this process; of others is added what they answered. */
static int build_answer(struct arena *a, const struct request *r, const struct stack_table *t,
			struct bytes *out)
{
	struct profile_head head = head_of(r->page);
	struct owner_table ages = { .arena = a };
	const struct owner_table *owners = r->query.ages ? &ages : NULL;
	const struct stack_table *all = t;

	if (owners && !take_ages(&ages))
		return -1;
	if (r->is_delta)
		head.duration_ns = sys_now_ns() - r->start_ns;
	tell_unasked(a, r, &head);
	if (r->query.share)
		return share_write(a,
				   &(struct share_head){ .values = (uint32_t)head.sample_type_count,
							 .comment = head.comment,
							 .comment_count = head.comment_count },
				   t, owners, out);
	if (owners)
		head.labels.of = owner_labels(a, owners);
	if (r->tree)
		all = tree_profile_merge(r->tree, a, t, owners, &head);
	return all ? write_form(a, r, all, &head, out) : -1;
}

static void subtract(struct stack_table *from, const struct stack_table *what)
{
	for (size_t i = 0; i < what->count; i++) {
		const struct stack *old = what->list[i];
		struct stack *s = stack_table_add(from, old->frame, old->depth);

		for (int k = 0; s && k < STACK_VALUES_MAX; k++)
			s->value[k] -= old->value[k];
	}
}

static int make_answer(struct arena *a, struct request *r, struct bytes *out)
{
	struct stack_table now;
	int failed;

	take_what_is_asked(r, &now);
	if (r->is_delta)
		subtract(&now, &r->before);
	failed = build_answer(a, r, &now, out);
	stack_table_release(&now);
	return failed;
}

int64_t snapshot_file(struct arena *a, const struct snapshot_page *page, struct bytes *out)
{
	const struct request r = { .page = page, .query = { .detail = SYMBOLS_LINES } };
	struct profile_head head;
	struct stack_table t;
	int64_t count;

	take_snapshot(page, &t, true);
	head = head_of(page);
	count = (int64_t)t.count;
	if (count && write_form(a, &r, &t, &head, out) != 0)
		count = -1;
	stack_table_release(&t);
	return count;
}

/* ---- one that takes time: a difference, or a tree */

static void gone(void *arg)
{
	struct request *r = arg;

	if (r->is_delta && r->page->delta_ends)
		r->page->delta_ends();
	stack_table_release(&r->before);
	if (r->tree)
		tree_profile_end(r->tree);
}

/* The answer comes as soon as that of a tree whose members are slow. */
#define PATIENCE_NS	  (450 * NS_PER_MS)
#define PATIENCE_LEAST_NS (100 * NS_PER_MS)

/* What was answered before is of use, and so is what would be answered now.  When to go on. */
static int64_t look_at_sleepers(struct http_exchange *x, struct request *r)
{
	struct profile_head types = { 0 };
	int64_t left_ns = r->start_ns + PATIENCE_NS - sys_now_ns();

	if (!r->tree || !r->tree->growing_values || !r->page->of_other)
		return 0;
	r->page->fill_head(&types);
	return tree_profile_read_sites(r->tree, http_arena(x), r->page->of_other,
				       (uint32_t)types.sample_type_count,
				       MAX(left_ns, PATIENCE_LEAST_NS));
}

static void due(struct http_exchange *x, void *arg)
{
	struct request *r = arg;
	int64_t again = r->tree ? tree_profile_look(r->tree, http_is_hurried(x)) : 0;
	struct bytes out = { 0 };
	int failed;

	if (!again)
		again = look_at_sleepers(x, r);
	if (again) {
		http_again(x, again);
		return;
	}
	failed = make_answer(http_arena(x), r, &out);
	gone(r);
	if (failed)
		http_abort(x);
	else
		http_finish(x, out.at, out.len);
}

static void begin_delta(struct request *r)
{
	r->is_delta = true;
	r->unasked_before = ended_unasked(r, &r->unasked_bytes_before);
	take_snapshot(r->page, &r->before, r->query.share);
	r->end_ns = r->start_ns + params_window_ns(&r->query);
	if (r->page->delta_begins)
		r->page->delta_begins();
}

static struct http_response response_of(struct http_exchange *x, const struct request *r)
{
	return is_file(&r->query)
		       ? download_of(x, r->is_delta ? r->page->delta_name : r->page->name)
		       : (struct http_response){ .status = 200 };
}

static void begin(struct http_exchange *x, struct request *r, bool has_tree)
{
	struct http_pending pending = { .arg = r, .due = due, .gone = gone, .id = r->query.id };
	struct http_response head;

	r->start_ns = r->end_ns = sys_now_ns();
	if (params_window_ns(&r->query))
		begin_delta(r);
	head = response_of(x, r);
	if (has_tree)
		r->tree = tree_profile_begin(http_arena(x), r->page->name, &r->query,
					     r->is_delta ? r->end_ns : 0, 0);
	if (r->tree)
		r->tree->request.tells_memory = r->page->tells_bytes;
	if (r->tree && !r->is_delta && !is_of_memory_alone(&r->query))
		r->tree->growing_values = r->page->growing_values;
	pending.due_ns = r->tree ? r->start_ns : r->end_ns;
	http_begin(x, &head, &pending);
}

/* ---- requests */

static void answer_at_once(struct http_exchange *x, struct request *r)
{
	struct http_response head = response_of(x, r);
	struct bytes out = { 0 };

	if (make_answer(http_arena(x), r, &out) != 0) {
		http_error(x, 500, "failed to collect profile");
		return;
	}
	head.body = out.at;
	head.body_len = out.len;
	http_respond(x, &head);
}

static void serve_page(struct http_exchange *x, struct request *r)
{
	bool has_tree = tree_is_asked(x, &r->query.tree);
	const char *refusal = r->page->refusal();

	if (refusal)
		http_error(x, 404, refusal);
	else if (is_of_memory_alone(&r->query) && !r->page->snapshot_older)
		http_error(x, 400,
			   "older, ages and peak are params of heap: of memory that is in use");
	else if (has_tree || params_window_ns(&r->query))
		begin(x, r, has_tree);
	else
		answer_at_once(x, r);
}

/* HEAD takes no snapshot; its answer is what the file's head would say. */
void snapshot_route(struct http_exchange *x, const struct http_request *r,
		    const struct snapshot_page *page)
{
	struct request *q = arena_alloc(http_arena(x), sizeof(*q));
	struct profile_head types = { 0 };
	struct http_response head;

	if (!q) {
		http_error(x, 500, "failed to collect profile");
		return;
	}
	page->fill_head(&types);
	q->page = page;
	if (!params_read(x, r, PARAMS_OF_SNAPSHOT, &q->query) ||
	    !params_value(x, &q->query, &types, &q->value))
		return;
	head = response_of(x, q);
	if (slice_equals(r->method, "HEAD"))
		http_begin(x, &head, NULL);
	else
		serve_page(x, q);
}
