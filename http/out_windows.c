#include "http/out_windows.h"

#include <string.h>

#include "proto/comments.h"
#include "proto/trim.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

#define SUM_BYTES    (24UL << 20)
#define OWNERS_BYTES (4UL << 20)
#define WINDOW_BYTES (16UL << 20)

static void begin_sum(struct out_windows *w, int64_t now_ns)
{
	if (w->has_sum)
		return;
	w->memory = (struct arena)ARENA_INIT(OWNERS_BYTES);
	w->owners = (struct owner_table){ .arena = &w->memory };
	stack_table_init(&w->sum, SUM_BYTES);
	w->start_ns = now_ns;
	w->has_sum = true;
}

static bool begin_window(struct out_windows *w, const char **why)
{
	w->window = w->page->start(&w->query, &w->window_ns, why);
	return w->window != NULL;
}

bool out_windows_begin(struct out_windows *w, const struct timed_page *page, int hz,
		       const char **why)
{
	if (w->window)
		return true;
	w->page = page;
	w->query.hz = hz;
	if (!begin_window(w, why))
		return false;
	begin_sum(w, w->window_ns);
	return true;
}

/* ---- a window that ends */

static size_t last_value(const struct out_windows *w)
{
	return w->page->kind->sample_type_count - 1;
}

static void add_stacks(struct out_windows *w, const struct stack_table *stacks,
		       const struct owner_table *owners)
{
	for (size_t i = 0; i < stacks->count; i++) {
		const struct stack *s = stacks->list[i];
		uint32_t owner = 0;

		if (!s->value[0] && !s->value[last_value(w)])
			continue;
		if (s->label)
			owner = owner_number(&w->owners, &owners->list[s->label - 1]);
		stack_add_values(stack_table_add_labelled(&w->sum, s->frame, s->depth, owner), s);
	}
}

static void keep_notes(struct out_windows *w, const struct profile_head *head)
{
	if (!head->comment_count)
		return;
	w->notes = MIN(head->comment_count, (size_t)OUT_NOTES_MAX);
	for (size_t i = 0; i < w->notes; i++) {
		struct text t = TEXT_INIT(w->note[i]);

		text_str(&t, head->comment[i]);
	}
}

static void add_window(struct out_windows *w, void *window)
{
	struct arena a = ARENA_INIT(WINDOW_BYTES);
	struct owner_table owners = { .arena = &a };
	struct profile_head head = *w->page->kind;
	const struct stack_table *stacks = w->page->stacks(window, &a, &owners, &head);

	if (stacks) {
		add_stacks(w, stacks, &owners);
		keep_notes(w, &head);
		w->last_ns = head.duration_ns;
		if (w->count++ == 0) {
			w->start_epoch_ns = head.time_ns;
			w->period_ns = head.period;
		}
	}
	arena_release(&a);
}

static void end_window(struct out_windows *w, void *window)
{
	w->page->stop(window);
	add_window(w, window);
	w->page->free(window);
}

static void turn(struct out_windows *w)
{
	void *last = w->window;
	const char *why;

	if (!last)
		return;
	begin_window(w, &why);
	end_window(w, last);
}

void out_windows_end(struct out_windows *w)
{
	if (w->window)
		end_window(w, w->window);
	w->window = NULL;
}

void out_windows_release(struct out_windows *w)
{
	out_windows_end(w);
	if (!w->has_sum)
		return;
	stack_table_release(&w->sum);
	arena_release(&w->memory);
	*w = (struct out_windows){ 0 };
}

int64_t out_windows_step(struct out_windows *w)
{
	return w->window && w->page->step ? w->page->step(w->window) : INT64_MAX;
}

/* ---- the message */

static int64_t total_ns(const struct out_windows *w)
{
	int64_t ns = 0;

	for (size_t i = 0; i < w->sum.count; i++)
		ns += w->sum.list[i]->value[last_value(w)];
	return ns;
}

/* What there can be at least, or of CPU time at most: no window ends for less. */
static int64_t can_be_ns(const struct out_windows *w)
{
	if (!w->page->has_clocks)
		return sys_now_ns() - w->start_ns;
	return sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Of several windows they are true of the last one only. */
static void add_notes(const struct out_windows *w, struct arena *a, struct profile_head *head)
{
	for (size_t i = 0; i < w->notes; i++) {
		struct text t = { .at = arena_alloc(a, OUT_NOTE_BYTES + 64),
				  .size = OUT_NOTE_BYTES + 64 };

		if (!t.at)
			return;
		if (w->count > 1) {
			text_str(&t, "In the last ");
			text_i64(&t, w->last_ns / NS_PER_SECOND);
			text_str(&t, " s: ");
		}
		text_str(&t, w->note[i]);
		comments_insert(a, &head->comment, &head->comment_count, head->comment_count, t.at);
	}
}

static int build(struct out_windows *w, struct arena *a, struct message *m)
{
	struct profile_head head = *w->page->kind;

	head.period = w->period_ns;
	head.time_ns = w->start_epoch_ns;
	head.duration_ns = sys_now_ns() - w->start_ns;
	head.labels.of = owner_labels(a, &w->owners);
	add_notes(w, a, &head);
	if (build_message(a, &w->sum, &head, SYMBOLS_LINES, m) != 0)
		return -1;
	if (w->page->refine)
		w->page->refine(a, m);
	trim_cancellable_call(a, m);
	return 0;
}

int64_t out_windows_message(struct out_windows *w, struct arena *a, int64_t least_ns,
			    struct message *message)
{
	int64_t ns;

	if (!w->has_sum || can_be_ns(w) < least_ns)
		return 0;
	turn(w);
	ns = total_ns(w);
	if (ns < least_ns)
		return ns;
	return build(w, a, message) == 0 ? ns : -1;
}
