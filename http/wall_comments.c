#include "http/wall_comments.h"

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/tasks.h"

#define COMMENTS_MAX   7
#define SENTENCE_BYTES 256
/* A few looks at less than all threads, when stacks are new, are not worth a sentence. */
#define MOST_PER_CENT 90
/* Nor is what clocks that are read one after the other leave. */
#define UNSAMPLED_PART 100

struct comments {
	struct arena *a;
	const char *list[COMMENTS_MAX];
	size_t count;
};

static void tell(struct comments *c, const char *before, int64_t number, const char *after)
{
	struct text t = { .at = arena_alloc(c->a, SENTENCE_BYTES), .size = SENTENCE_BYTES };

	if (!t.at || c->count == COMMENTS_MAX)
		return;
	text_str(&t, before);
	if (number >= 0)
		text_i64(&t, number);
	text_str(&t, after);
	c->list[c->count++] = t.at;
}

static void tell_looks(struct comments *c, const struct wall_summary *s)
{
	if (s->known >= MOST_PER_CENT)
		return;
	tell(c, s->known ? "Each look knew where " : "Each look knew where less than ",
	     MAX(s->known, 1),
	     " % of the threads were, drawn by chance, and these stand for the others: looks "
	     "use no more than 1 % of one processor.");
}

static void tell_unsampled(struct comments *c, const struct wall_summary *s)
{
	if (s->is_place_unknown)
		tell(c, "The kernel does not tell this process where its threads wait: that is ",
		     -1, "[blocked].");
	else if (s->unsampled_ns > s->life_ns / UNSAMPLED_PART)
		tell(c, "", s->unsampled_ns / NS_PER_MS,
		     " ms in which threads were blocked are [unsampled]: no look met them.");
}

void wall_comments(const struct wall_summary *s, bool without_tids, struct arena *a,
		   struct profile_head *head)
{
	struct comments *c = arena_alloc(a, sizeof(*c));

	if (!c)
		return;
	c->a = a;
	tell_looks(c, s);
	tell_unsampled(c, s);
	if (tasks_dir() < 0)
		tell(c, "/proc is not there: threads that were not seen to start are not in it.",
		     -1, "");
	if (s->is_queue_unknown)
		tell(c,
		     "The kernel does not tell how long threads waited for a processor: that is in "
		     "their blocked time.",
		     -1, "");
	if (s->unlisted)
		tell(c, "The time of ", (int64_t)s->unlisted,
		     " threads is missing: there were too many.");
	if (without_tids)
		tell(c, "Threads are not told apart by their number: there are too many.", -1, "");
	head->comment = c->list;
	head->comment_count = c->count;
}
