/* /debug/pprof/shim?pid=N: the state and counters of another process of the tree. */
#include <string.h>

#include "http/handlers.h"
#include "http/tree.h"
#include "sampler/base/sys.h"

static void write_target(struct text *t, void *unused)
{
	(void)unused;
	text_str(t, "/debug/pprof/shim");
}

static void over(void *arg)
{
	tree_end(arg);
}

static const struct member *one_that_answered(const struct tree_request *t)
{
	for (const struct member *one = t->members.first; one; one = one->next)
		if (one->state == MEMBER_ANSWERED)
			return one;
	return NULL;
}

static void due(struct http_exchange *x, void *arg)
{
	static const char nobody[] =
		"This process did not answer: it sleeps, computes without a wait, or "
		"does not have this library.\n";
	struct tree_request *t = arg;
	int64_t again = tree_look(t);
	const struct member *one;
	char *text = NULL;

	if (again) {
		http_again(x, again);
		return;
	}
	one = one_that_answered(t);
	if (one)
		text = arena_strndup(http_arena(x), (const char *)one->answer, one->answer_len);
	http_finish(x, text ? text : nobody, text ? one->answer_len : strlen(nobody));
	over(t);
}

bool other_shim(struct http_exchange *x, const struct http_request *r)
{
	static const struct http_response head = { .status = 200 };
	struct tree_request *t = arena_alloc(http_arena(x), sizeof(*t));
	struct http_pending pending = {
		.due_ns = sys_now_ns(), .arg = t, .due = due, .gone = over
	};
	const char *why;

	if (!t)
		return false;
	why = tree_query_read(r, &t->query);
	if (why) {
		http_error(x, 400, why);
	} else if (!tree_has_asked(x, &t->query)) {
		why = TREE_HAS_NOT;
		http_error(x, 404, why);
	}
	if (why || t->query.pid_count != 1 || tree_query_is_own(&t->query) ||
	    !tree_is_asked(x, &t->query))
		return why != NULL;
	t->write_target = write_target;
	tree_begin(t, 0);
	http_begin(x, &head, &pending);
	return true;
}
