#include "http/timed_profile.h"

#include <string.h>
#include <time.h>

#include "http/download.h"
#include "http/tree_profile.h"
#include "proto/comments.h"
#include "proto/share.h"
#include "proto/trim.h"
#include "sampler/base/cc.h"
#include "sampler/base/pattern.h"
#include "sampler/base/sys.h"

#define SECONDS_DEFAULT 30 /* as in Go */

/* What is needed when the time is up; lives in the exchange's arena. */
struct pending_profile {
	const struct timed_page *page;
	void *profile;
	struct params query;
	int value;		   /* that texts are about */
	struct tree_profile *tree; /* NULL: this process alone */
	int64_t end_ns;
	bool is_stopped;
	int64_t own_ns; /* of our own thread, at the start */
	/* Of one that is shared, what is sent ahead: */
	struct arena part;
	int64_t part_ns, part_pause_ns; /* when the next one is due, and how long after the last */
	int64_t part_total;		/* of the values that the last one had */
};

static struct http_response head_of(struct http_exchange *x, const struct timed_page *page,
				    const struct params *p)
{
	return p->format == FORMAT_FILE ? download_of(x, page->file)
					: (struct http_response){ .status = 200 };
}

static int64_t own_thread_ns(void)
{
	return sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int write_form(struct arena *a, const struct pending_profile *w,
		      const struct stack_table *all, const struct profile_head *head,
		      struct bytes *out)
{
	bool is_file = w->query.format == FORMAT_FILE;
	struct message m;

	if (is_file && !w->page->refine)
		return build_profile(a, all, head, w->query.detail, out);
	if (build_message(a, all, head, w->query.detail, &m) != 0)
		return -1;
	if (w->page->refine)
		w->page->refine(a, &m);
	trim_cancellable_call(a, &m);
	return is_file ? build_file(a, &m, out)
		       : format_write(a, &m, w->query.format, w->value, out);
}

static int share(struct arena *a, const struct pending_profile *w, const struct stack_table *all,
		 const struct owner_table *owners, const struct profile_head *of, struct bytes *out)
{
	struct share_head head = { .values = (uint32_t)of->sample_type_count,
				   .own_ns = own_thread_ns() - w->own_ns,
				   .comment = of->comment,
				   .comment_count = of->comment_count };

	if (w->page->count_children)
		w->page->count_children(w->profile, &head);
	return share_write(a, &head, all, owners, out);
}

/* ---- what was asked for */

static bool is_wanted(const struct params *p, const struct owner *o)
{
	if (!*p->state && !*p->thread)
		return true;
	return o && (!*p->state || strcmp(p->state, o->state) == 0) &&
	       (!*p->thread || pattern_matches(p->thread, o->thread));
}

/* Takes out what was not asked for, of all processes.  False: nothing is left, and there was
 * something. */
static bool filter(const struct params *p, const struct owner_table *owners,
		   const struct stack_table *all)
{
	bool any = false;

	for (size_t i = 0; i < all->count; i++) {
		struct stack *s = all->list[i];

		if (is_wanted(p, s->label ? &owners->list[s->label - 1] : NULL))
			any = true;
		else
			memset(s->value, 0, sizeof(s->value));
	}
	return any || !all->count;
}

/* Empty, and not because nothing happened. */
static void tell_nothing_is_left(struct arena *a, struct profile_head *head)
{
	comments_insert(
		a, &head->comment, &head->comment_count, head->comment_count,
		"Nothing here is of a thread or state that was asked for; without thread= "
		"and state= there is more. Names are those that /proc/PID/task/TID/comm has.");
}

static int build_answer(struct arena *a, const struct pending_profile *w, struct bytes *out)
{
	struct owner_table owners = { .arena = a };
	struct profile_head head = *w->page->kind;
	const struct stack_table *all = w->page->stacks(w->profile, a, &owners, &head);

	if (!all)
		return -1;
	if (w->query.share)
		return share(a, w, all, &owners, &head, out);
	head.labels.of = owner_labels(a, &owners);
	if (w->tree && w->page->count_children)
		w->page->count_children(w->profile, &w->tree->newborns);
	if (w->tree)
		all = tree_profile_merge(w->tree, a, all, &owners, &head);
	if (!w->query.labels)
		head.labels = (struct sample_labelling){ .without = true };
	if (all && !filter(&w->query, w->tree ? &w->tree->owners : &owners, all))
		tell_nothing_is_left(a, &head);
	return all ? write_form(a, w, all, &head, out) : -1;
}

static void profile_gone(void *arg)
{
	struct pending_profile *w = arg;

	w->page->free(w->profile);
	arena_release(&w->part);
	if (w->tree)
		tree_profile_end(w->tree);
}

/* After the end, while members answer, nothing is sampled. */
static void stop_sampling(struct pending_profile *w)
{
	if (!w->is_stopped)
		w->page->stop(w->profile);
	w->is_stopped = true;
}

/* ---- ahead of the end */

/*
 * A process that is killed, or whose main returns, sends nothing at its end: what it has is
 * sent while it lives, if there is anything new.  That takes a hundredth of a processor at
 * most, and less of one that sleeps.
 */
#define PART_FIRST_NS	(200 * NS_PER_MS)
#define PART_LONGEST_NS (2 * NS_PER_SECOND)
#define PART_SHARE	100
#define PART_BYTES	(16UL << 20)

static bool has_parts(const struct pending_profile *w)
{
	return w->query.share && w->page->can_be_read;
}

/* Of the last value, which is time. */
static int64_t total_of(const struct pending_profile *w, const struct stack_table *t)
{
	size_t value = w->page->kind->sample_type_count - 1;
	int64_t total = 0;

	for (size_t i = 0; i < t->count; i++)
		total += t->list[i]->value[value];
	return total;
}

/* False: there is nothing new. */
static bool send_part(struct http_exchange *x, struct pending_profile *w)
{
	struct arena fresh = ARENA_INIT(PART_BYTES);
	struct owner_table owners = { .arena = &fresh };
	struct profile_head head = *w->page->kind;
	const struct stack_table *all = w->page->stacks(w->profile, &fresh, &owners, &head);
	int64_t total = all ? total_of(w, all) : w->part_total;
	struct bytes part;

	if (total == w->part_total || share(&fresh, w, all, &owners, &head, &part) != 0 ||
	    !http_part(x, part.at, part.len)) {
		arena_release(&fresh);
		return false;
	}
	arena_release(&w->part); /* it has been sent */
	w->part = fresh;
	w->part_total = total;
	return true;
}

static void look_at_part(struct http_exchange *x, struct pending_profile *w)
{
	int64_t now = sys_now_ns();

	if (send_part(x, w))
		w->part_pause_ns = MAX(PART_FIRST_NS, PART_SHARE * (sys_now_ns() - now));
	else
		w->part_pause_ns = MIN(2 * w->part_pause_ns, PART_LONGEST_NS);
	w->part_ns = now + w->part_pause_ns;
}

/* When there is something to do before the end; the end at the latest. */
static int64_t work(struct http_exchange *x, struct pending_profile *w)
{
	int64_t again = w->page->step ? w->page->step(w->profile) : w->end_ns;

	if (has_parts(w) && sys_now_ns() >= w->part_ns)
		look_at_part(x, w);
	if (has_parts(w))
		again = MIN(again, w->part_ns);
	return MIN(again, w->end_ns);
}

/* ---- those that did not answer */

struct taker {
	struct arena *arena;
	const struct pending_profile *w;
};

static void take(void *arg, const struct dump *d, const struct process *of)
{
	const struct taker *k = arg;

	k->w->page->take_sleeper(k->w->profile, k->arena, &k->w->tree->sleepers, d, of);
}

static int64_t look_at_sleepers(struct http_exchange *x, const struct pending_profile *w)
{
	struct taker k = { http_arena(x), w };

	if (!w->tree || !w->page->take_sleeper)
		return 0;
	return sleepers_look(&w->tree->sleepers, &w->tree->request, k.arena,
			     &(struct sleepers_want){ .take = take,
						      .arg = &k,
						      .patience_ns = SLEEPERS_PATIENCE_NS });
}

static void profile_due(struct http_exchange *x, void *arg)
{
	struct pending_profile *w = arg;
	bool ends = w->is_stopped || http_is_hurried(x) || sys_now_ns() >= w->end_ns;
	int64_t at = ends ? 0 : work(x, w);
	int64_t again = w->tree ? tree_profile_look(w->tree, http_is_hurried(x)) : 0;
	struct bytes file = { 0 };
	int failed;

	if (ends)
		stop_sampling(w);
	if (!at && !again)
		again = look_at_sleepers(x, w);
	if (at || again) {
		http_again(x, at && again ? MIN(at, again) : MAX(at, again));
		return;
	}
	failed = build_answer(http_arena(x), w, &file);
	profile_gone(w);
	if (failed)
		http_abort(x);
	else
		http_finish(x, file.at, file.len);
}

static void could_not_start(struct http_exchange *x, const char *what, const char *why)
{
	static const char could_not[] = "Could not enable ", profiling[] = " profiling: ";
	size_t size = sizeof(could_not) + strlen(what) + sizeof(profiling) + strlen(why);
	struct text t = { .at = arena_alloc(http_arena(x), size), .size = size };

	if (!t.at) {
		http_error(x, 500, "Could not enable profiling: out of memory");
		return;
	}
	text_str(&t, could_not);
	text_str(&t, what);
	text_str(&t, profiling);
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
	struct http_response head = head_of(x, w->page, p);
	int64_t start_ns, window = params_window_ns(p);

	w->own_ns = own_thread_ns();
	w->profile = w->page->start(p, &start_ns, &why);
	if (!w->profile) {
		could_not_start(x, w->page->what, why);
		return;
	}
	w->end_ns = start_ns + (window ? window : SECONDS_DEFAULT * NS_PER_SECOND);
	if (tree_is_asked(x, &p->tree) || (w->page->include_children && tree_may_come(x, &p->tree)))
		w->tree = tree_profile_begin(http_arena(x), w->page->name, p, w->end_ns, 0);
	if (w->tree && w->page->has_clocks)
		tree_profile_use_clocks(w->tree);
	if (w->tree && w->page->take_sleeper)
		sleepers_watch(&w->tree->sleepers, &w->tree->request, http_arena(x));
	if (w->page->include_children && (w->tree || p->share))
		w->page->include_children(w->profile, w->end_ns);
	w->part_pause_ns = PART_FIRST_NS;
	w->part_ns = start_ns + PART_FIRST_NS;
	pending.heeds_bell = w->tree != NULL;
	pending.due_ns = w->tree || w->page->step || has_parts(w) ? start_ns : w->end_ns;
	http_begin(x, &head, &pending);
}

void timed_profile_route(struct http_exchange *x, const struct http_request *r,
			 const struct timed_page *page)
{
	struct params p;
	struct pending_profile *w;
	struct http_response head;
	int value;

	if (!params_read(x, r, page->params, &p) || !params_value(x, &p, page->kind, &value))
		return;
	if (slice_equals(r->method, "HEAD")) {
		head = head_of(x, page, &p);
		http_begin(x, &head, NULL);
		return;
	}
	w = arena_alloc(http_arena(x), sizeof(*w));
	if (!w) {
		could_not_start(x, page->what, "out of memory");
		return;
	}
	w->page = page;
	w->query = p;
	w->value = value;
	start_profile(x, &p, w);
}
