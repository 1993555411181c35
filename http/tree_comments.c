#include "http/tree_comments.h"

#include <string.h>

#include "http/routes_config.h"
#include "proto/comments.h"
#include "sampler/base/cc.h"
#include "sampler/base/sort.h"
#include "sampler/base/sys.h"
#include "sampler/process/usage.h"

#define NAMED_MAX 24 /* processes; of more their number is told */

/* Those that were asked, by pid: of two the one that came last. */
struct asked {
	struct sort_pair *pair;
	size_t count;
	const struct member **member;
};

static bool list_asked(const struct tree_request *t, struct arena *a, struct asked *l)
{
	*l = (struct asked){ .pair = arena_array(a, t->members.count + 1, sizeof(*l->pair)),
			     .member = arena_array(a, t->members.count + 1, sizeof(*l->member)) };
	if (!l->pair || !l->member)
		return false;
	for (const struct member *one = t->members.first; one; one = one->next) {
		l->pair[l->count] = (struct sort_pair){ (uint64_t)one->pid, l->count };
		l->member[l->count++] = one;
	}
	sort_pairs(l->pair, l->count);
	return true;
}

static const struct member *answer_of(const struct asked *l, int pid)
{
	size_t i = sort_find(l->pair, l->count, (uint64_t)pid);

	return i < l->count && l->pair[i].key == (uint64_t)pid ? l->member[l->pair[i].value] : NULL;
}

static void write_process(struct text *out, const struct process *p)
{
	text_str(out, p->name);
	text_char(out, ' ');
	text_i64(out, p->pid);
}

static size_t count_outside(const struct tree_request *t)
{
	size_t n = 0;

	for (size_t i = 0; t->outside && i < t->processes.count; i++)
		n += t->outside[i] == OUTSIDE_READ;
	return n;
}

/* Those that did not answer, and are in it. */
static size_t write_outside(struct text *out, const struct tree_request *t, size_t named)
{
	for (size_t i = 0; t->outside && i < t->processes.count && named < NAMED_MAX; i++) {
		if (t->outside[i] != OUTSIDE_READ)
			continue;
		text_str(out, named++ ? ", " : " (");
		write_process(out, &t->processes.list[i]);
		text_str(out, " [read from outside]");
	}
	return named;
}

/* "Processes in this profile: 3 (nginx 10, nginx 11 [ended], nginx 12 [read from outside])." */
static const char *included_sentence(const struct tree_request *t, struct arena *a)
{
	struct text out = { .at = arena_alloc(a, TREE_COMMENT_BYTES), .size = TREE_COMMENT_BYTES };
	size_t count = t->members.answered + t->includes_self + count_outside(t);
	struct process p;
	size_t named = 0;

	if (!out.at)
		return NULL;
	text_str(&out, "Processes in this profile: ");
	text_u64(&out, count);
	if (t->includes_self && process_read(sys_getpid(), &p)) {
		text_str(&out, named++ ? ", " : " (");
		write_process(&out, &p);
	}
	for (const struct member *one = t->members.first; one && named < NAMED_MAX;
	     one = one->next) {
		if (one->state != MEMBER_ANSWERED)
			continue;
		text_str(&out, named++ ? ", " : " (");
		if (!process_read(one->pid, &p)) {
			p.state = 'Z';
			memcpy(p.name, one->process, sizeof(p.name));
		}
		write_process(&out, &p);
		text_str(&out, one->has_ended || p.state == 'Z' ? " [ended]" : "");
	}
	named = write_outside(&out, t, named);
	text_str(&out, named < count ? ", ...)."
		       : named	     ? ")."
				     : "; /debug/pprof/sd lists those of the tree.");
	return out.at;
}

bool tree_is_joined(int pid)
{
	return routes_config()->has_joined && routes_config()->has_joined(pid);
}

const char *tree_known_why_not_in(const struct process *p)
{
	const char *why =
		routes_config()->why_no_member ? routes_config()->why_no_member(p->pid) : "";

	if (p->state == 'Z')
		return "it has ended";
	if (p->state == 'T')
		return "it is stopped";
	if (tree_is_joined(p->pid))
		return "it joined too late";
	return *why ? why : NULL;
}

const char *tree_why_not_in(const struct process *p)
{
	const char *why = tree_known_why_not_in(p);

	return why ? why : "it sleeps, computes without a wait, or does not have this library";
}

static const char *why_member(const struct member *one)
{
	if (!one)
		return NULL;
	if (one->state == MEMBER_LATE)
		return "it did not answer in time";
	return one->refusal ? one->refusal : "its answer broke off";
}

static const char *newborn_sentence(const struct tree_request *t, struct arena *a)
{
	struct text out = { .at = arena_alloc(a, TREE_COMMENT_BYTES), .size = TREE_COMMENT_BYTES };

	if (!out.at || t->born <= 0)
		return NULL;
	text_str(&out, "Processes that were forked meanwhile, and are in this profile: ");
	text_i64(&out, t->born);
	text_char(&out, '.');
	return out.at;
}

/* As it is now; one that is not there any more has ended. */
static struct process now_of(const struct process *before)
{
	struct process now;

	if (process_read(before->pid, &now) && now.start == before->start)
		return now;
	now = *before;
	now.state = 'Z';
	return now;
}

static void write_memory(struct text *out, int pid)
{
	text_str(out, ", ");
	text_u64(out, usage_rss_anon_of(pid) >> 20);
	text_str(out, " MiB of anonymous memory");
}

/* What it has done is not known, but how much: " (1.2 s of CPU time so far)". */
static void write_used(struct text *out, const struct process *p, bool tells_memory)
{
	int64_t ns = p->state == 'Z' ? -1 : process_cpu_ns(p->pid);

	if (ns < 0)
		return;
	text_str(out, " (");
	text_i64(out, ns / NS_PER_SECOND);
	text_char(out, '.');
	text_i64(out, ns / (NS_PER_SECOND / 10) % 10);
	text_str(out, " s of CPU time so far");
	if (tells_memory)
		write_memory(out, p->pid);
	text_char(out, ')');
}

/* Why what it has was not read from outside. */
static void write_outside_failed(struct text *out, enum outside how)
{
	static const char *const why[] = {
		[OUTSIDE_REFUSED] = ", and the kernel does not let us read its memory",
		[OUTSIDE_LATE] = ", and there was no time left to read its memory",
		[OUTSIDE_MOVED] = ", and it ran while its memory was read",
		[OUTSIDE_NO_ROOM] = ", and there is no room for what was read in its memory",
	};

	if (why[how])
		text_str(out, why[how]);
}

static const char *missing_sentence(const struct tree_request *t, struct arena *a)
{
	struct text out = { .at = arena_alloc(a, TREE_COMMENT_BYTES), .size = TREE_COMMENT_BYTES };
	struct asked asked;
	struct process now;
	size_t missing = 0;

	if (!out.at || !list_asked(t, a, &asked))
		return NULL;
	text_str(&out, "Processes not in this profile: ");
	for (size_t i = 0; i < t->processes.count; i++) {
		const struct process *p = &t->processes.list[i];
		const struct member *one = answer_of(&asked, p->pid);
		enum outside how = t->outside ? t->outside[i] : OUTSIDE_NOT;

		if (p->pid == sys_getpid() || !tree_query_has_named(&t->query, p->pid, p->name) ||
		    (one && one->state == MEMBER_ANSWERED) || how == OUTSIDE_READ)
			continue;
		if (missing++ >= NAMED_MAX)
			continue;
		text_str(&out, missing > 1 ? "; " : "");
		now = now_of(p);
		write_process(&out, p);
		text_str(&out, ": ");
		text_str(&out, one ? why_member(one) : tree_why_not_in(&now));
		if (now.state != 'Z')
			write_outside_failed(&out, how);
		write_used(&out, &now, t->tells_memory);
	}
	if (missing > NAMED_MAX) {
		text_str(&out, "; and ");
		text_u64(&out, missing - NAMED_MAX);
		text_str(&out, " more");
	}
	return missing ? out.at : NULL;
}

void tree_comments(const struct tree_request *t, struct arena *a, struct profile_head *head)
{
	const char *ours[] = { included_sentence(t, a), newborn_sentence(t, a),
			       missing_sentence(t, a) };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		comments_insert(a, &head->comment, &head->comment_count, head->comment_count,
				ours[i]);
}
