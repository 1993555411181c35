#include "http/tree_profile.h"

#include <string.h>

#include "http/bell.h"
#include "http/routes_config.h"
#include "http/tree_comments.h"
#include "http/tree_newborns.h"
#include "http/tree_past.h"
#include "http/tree_waits.h"
#include "proto/share.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/balance.h"
#include "sampler/cpu/timers.h"

#define MERGED_BYTES (64UL << 20)

#define TRACEBACKS 2 /* of debug: each process writes its own text */

/* Which of a CPU profile's values the clocks are compared with. */
#define CLOCK_VALUE 1

static void write_target(struct text *t, void *arg)
{
	const struct tree_profile *p = arg;

	text_str(t, "/debug/pprof/");
	text_str(t, p->name);
	if (p->query.debug >= TRACEBACKS) {
		text_str(t, "?debug=2&share=1");
		return;
	}
	text_str(t, "?share=1&hz=");
	text_i64(t, p->query.hz ? p->query.hz : routes_config()->default_hz);
	if (p->query.peak)
		text_str(t, "&peak=1");
	if (p->query.older_s) {
		text_str(t, "&older=");
		text_i64(t, p->query.older_s);
	}
	if (p->query.ages)
		text_str(t, "&ages=1");
	if (!p->end_ns)
		return;
	text_str(t, "&id=");
	text_str(t, p->id);
	text_str(t, "&window_ms=");
	text_i64(t, MAX((p->end_ns - sys_now_ns()) / NS_PER_MS, (int64_t)1));
}

/* No two requests have the same. */
static void write_id(struct tree_profile *p)
{
	struct text t = TEXT_INIT(p->id);

	text_str(&t, "tree-");
	text_hex(&t, (uint64_t)sys_now_ns());
}

struct tree_profile *tree_profile_begin(struct arena *a, const char *name,
					const struct params *params, int64_t end_ns,
					int64_t patience_ns)
{
	struct tree_profile *p = arena_alloc(a, sizeof(*p));

	if (!p)
		return NULL;
	p->name = name;
	p->query = *params;
	p->end_ns = end_ns;
	write_id(p);
	p->request.query = params->tree;
	p->request.write_target = write_target;
	p->request.arg = p;
	p->request.patience_ns = patience_ns;
	tree_begin(&p->request, end_ns);
	return p;
}

void tree_profile_use_clocks(struct tree_profile *p)
{
	p->has_clocks = true;
	bell_hang(routes_config()->tree_id);
	tree_clocks_begin(&p->clocks, &p->request.arena, &p->request.processes);
}

int64_t tree_profile_look(struct tree_profile *p, bool hurry)
{
	bool is_open;

	if (hurry)
		tree_hasten(&p->request, p->id);
	is_open = sys_now_ns() < p->request.open_until_ns;
	if (p->has_clocks)
		tree_clocks_look(&p->clocks, false);
	if (p->has_clocks && !is_open && !p->clocks_are_read) {
		tree_clocks_look(&p->clocks, true);
		p->clocks_are_read = true;
	}
	return tree_look(&p->request);
}

/* ---- those that did not answer */

#define SITES_BYTES (4UL << 20) /* of stacks of one, and of what is kept of them */

struct sites_taker {
	const char *page;
	uint32_t values;
};

static bool keep_stacks(const struct sites_taker *k, const struct stack_table *t,
			const struct process *of)
{
	struct arena scratch = ARENA_INIT(4 * SITES_BYTES);
	const struct share_head head = { .values = k->values };
	struct bytes bytes;
	bool ok = share_write(&scratch, &head, t, NULL, &bytes) == 0 &&
		  tree_past_keep(k->page, of->pid, of->name, bytes);

	arena_release(&scratch);
	return ok;
}

static enum outside take_sites(void *arg, struct other_sites *o, const struct process *of)
{
	static const enum outside meaning[] = { [OTHER_SITES_READ] = OUTSIDE_READ,
						[OTHER_SITES_REFUSED] = OUTSIDE_REFUSED,
						[OTHER_SITES_NONE] = OUTSIDE_NOT,
						[OTHER_SITES_MOVED] = OUTSIDE_MOVED,
						[OTHER_SITES_LATE] = OUTSIDE_LATE };
	struct stack_table t;
	enum outside how;

	stack_table_init(&t, SITES_BYTES);
	how = meaning[other_sites_take(o, &t)];
	if (t.count && !keep_stacks(arg, &t, of))
		how = OUTSIDE_NO_ROOM;
	stack_table_release(&t);
	return how;
}

int64_t tree_profile_read_sites(struct tree_profile *p, struct arena *a,
				const struct other_sites_kind *kind, uint32_t values,
				int64_t patience_ns)
{
	struct sites_taker k = { p->name, values };
	const struct sleepers_want want = {
		.kind = kind, .take_sites = take_sites, .arg = &k, .patience_ns = patience_ns
	};

	return sleepers_look(&p->sleepers, &p->request, a, &want);
}

/* ---- merging */

static const char *own_name(struct process *room)
{
	return process_read(sys_getpid(), room) ? room->name : "";
}

/* A worker that was just forked gives itself a name soon. */
static const char *name_of_member(const struct member *one, struct process *room)
{
	return process_read(one->pid, room) ? room->name : one->process;
}

/* Also one that had time to send all that it had. */
static bool has_ended(const struct member *one)
{
	struct process now;

	return one->has_ended || !process_read(one->pid, &now) || now.state == 'Z';
}

static void add_member(struct tree_profile *p, struct member *one)
{
	const struct bytes bytes = { one->answer, one->answer_len };
	struct tree_clock *clock =
		p->has_clocks ? tree_clocks_find(&p->clocks, one->pid, one->start) : NULL;
	struct share_result result;
	struct process room;

	if (!share_add(&p->stacks, &p->owners, one->pid, name_of_member(one, &room), bytes,
		       &result))
		one->state = MEMBER_BROKE;
	if (p->has_clocks && has_ended(one) &&
	    balance_is_small(result.total[CLOCK_VALUE], p->draw_ns))
		tree_short_note(&p->short_lived, one->pid);
	tree_said_add(&p->said, p->owners.arena, one->pid, name_of_member(one, &room), &result);
	p->newborns.born += result.head.born;
	p->newborns.ended += result.head.ended;
	p->newborns.ended_ns += result.head.ended_ns;
	p->newborns.tails_ns += result.head.tails_ns;
	if (clock)
		clock->sampled_ns += result.total[CLOCK_VALUE] + result.head.own_ns;
	else
		p->ended_sampled_ns += result.total[CLOCK_VALUE] + result.head.own_ns;
}

static bool is_wanted(int pid, const char *process, void *arg)
{
	const struct tree_profile *p = arg;

	return pid ? tree_query_has_named(&p->query.tree, pid, process)
		   : !p->query.tree.pid_count && !*p->query.tree.name;
}

/* Those that ended, and those that are asleep. */
static void add_past(struct tree_profile *p)
{
	struct process room;

	tree_past_begin();
	for (const struct member *one = p->request.members.first; one; one = one->next)
		if (one->state == MEMBER_ANSWERED)
			tree_past_keep(p->name, one->pid, name_of_member(one, &room),
				       (struct bytes){ one->answer, one->answer_len });
	tree_past_add(&(struct tree_past_visit){ .page = p->name,
						 .growing_values = p->growing_values,
						 .is_wanted = is_wanted,
						 .arg = p,
						 .into = &p->stacks,
						 .owners = &p->owners });
}

static void add_unsampled(struct tree_profile *p, int pid, const char *name, int64_t ns)
{
	static const uint64_t unsampled = PSEUDO_UNSAMPLED;
	const struct owner o = {
		.pid = pid, .process = name, .thread = "", .state = "", .wait_reason = ""
	};
	struct stack *s;

	if (ns <= 0)
		return;
	s = stack_table_add_labelled(&p->stacks, &unsampled, 1, owner_number(&p->owners, &o));
	if (s)
		s->value[CLOCK_VALUE] += ns;
}

static bool is_newborn_wanted(const struct owner *o, void *arg)
{
	return is_wanted(o->pid, o->process, arg);
}

static int64_t weigh_newborns(struct tree_profile *p, struct arena *a, int64_t period_ns,
			      int64_t ended_ns)
{
	const struct tree_newborns n = { .stacks = &p->stacks,
					 .owners = &p->owners,
					 .clocks = &p->clocks,
					 .counts = p->newborns,
					 .draw_ns = p->draw_ns,
					 .period_ns = period_ns,
					 .time_value = CLOCK_VALUE,
					 .is_wanted = is_newborn_wanted,
					 .arg = p };

	return tree_newborns_weigh(&n, a, ended_ns);
}

/* What clocks have and no sample stands for. */
static void account(struct tree_profile *p, struct arena *a, int64_t period_ns)
{
	int64_t ended = tree_clocks_ended_ns(&p->clocks) - p->ended_sampled_ns;

	for (size_t i = 0; i < p->clocks.count; i++)
		if (!p->clocks.list[i].is_there && !p->clocks.list[i].is_self)
			ended -= p->clocks.list[i].sampled_ns;
	tree_short_weigh(&p->short_lived, &p->stacks, &p->owners, p->draw_ns, period_ns, 0,
			 CLOCK_VALUE);
	ended = weigh_newborns(p, a, period_ns, ended);
	p->request.born = p->newborns.born;
	for (size_t i = 0; i < p->clocks.count; i++) {
		const struct tree_clock *c = &p->clocks.list[i];

		if (c->is_self || !tree_query_has_named(&p->query.tree, c->pid, c->name))
			continue;
		if (c->is_there)
			add_unsampled(p, c->pid, c->name, c->last_ns - c->first_ns - c->sampled_ns);
	}
	if (!p->query.tree.pid_count && !*p->query.tree.name)
		add_unsampled(p, 0, "(ended)", ended);
}

/* What the head says is about this process, which may not be in the profile. */
static void take_comments(struct tree_profile *p, struct profile_head *head)
{
	struct process self;

	for (size_t i = 0; p->request.includes_self && i < head->comment_count; i++)
		tree_said_one(&p->said, p->owners.arena, sys_getpid(), own_name(&self),
			      head->comment[i]);
	head->comment_count = 0;
}

const struct stack_table *tree_profile_merge(struct tree_profile *p, struct arena *a,
					     const struct stack_table *own,
					     const struct owner_table *own_owners,
					     struct profile_head *head)
{
	struct process self;

	stack_table_init(&p->stacks, MERGED_BYTES);
	p->owners.arena = a;
	p->short_lived = (struct tree_short){ .arena = a };
	p->draw_ns = MAX(head->period, scheduler_tick_ns());
	p->owners.without_tids = p->query.debug != 0;
	take_comments(p, head);
	if (p->request.includes_self)
		share_add_own(&p->stacks, &p->owners, sys_getpid(), own_name(&self), own,
			      own_owners);
	else if (p->has_clocks)
		share_add_newborns(&p->stacks, &p->owners, own, own_owners);
	for (struct member *one = p->request.members.first; one; one = one->next)
		if (one->state == MEMBER_ANSWERED)
			add_member(p, one);
	if (p->sleepers.tree)
		share_add_own(&p->stacks, &p->owners, 0, NULL, &p->sleepers.stacks,
			      &p->sleepers.owners);
	if (p->growing_values)
		add_past(p);
	if (p->has_clocks)
		account(p, a, head->period);
	head->labels.of = owner_labels(a, &p->owners);
	tree_comments(&p->request, a, head);
	tree_said_tell(&p->said, a, head);
	return head->labels.of ? &p->stacks : NULL;
}

/* ---- texts */

static void add_text(struct text *t, const char *name, int pid, const char *note,
		     struct bytes bytes)
{
	text_str(t, "# process ");
	text_str(t, name);
	text_str(t, ", pid ");
	text_i64(t, pid);
	text_str(t, "\n\n");
	text_str(t, note);
	text_bytes(t, bytes.at, bytes.len);
	text_char(t, '\n');
}

static const char from_outside[] = "# It did not answer, and was read from outside.\n\n";

static size_t texts_size(const struct tree_profile *p, struct bytes own)
{
	const size_t heading = 64;
	size_t size = own.len + heading + 1;

	for (const struct member *one = p->request.members.first; one; one = one->next)
		size += one->answer_len + heading;
	for (const struct tree_text *o = p->sleepers_text; o; o = o->next)
		size += o->bytes.len + heading + strlen(from_outside);
	return size;
}

/* Two sentences in front, as a profile has them as comments, and what threads of several say. */
static void add_comments(struct text *t, struct arena *a, const struct tree_profile *p,
			 const struct tree_waits *waits)
{
	struct profile_head head = { 0 };

	tree_waits_tell(t, a, waits);

	tree_comments(&p->request, a, &head);
	for (size_t i = 0; i < head.comment_count; i++) {
		text_str(t, "# ");
		text_str(t, head.comment[i]);
		text_char(t, '\n');
	}
	text_char(t, '\n');
}

#define DEADLOCKS_BYTES (16UL << 10)

/* These lines are between processes, and not in the text. */
static void take_waits(struct tree_profile *p, struct arena *a, struct bytes *own,
		       struct tree_waits *waits)
{
	*own = tree_waits_take(waits, a, sys_getpid(), *own);
	for (struct member *one = p->request.members.first; one; one = one->next) {
		struct bytes rest = { one->answer, one->answer_len };

		if (one->state != MEMBER_ANSWERED)
			continue;
		rest = tree_waits_take(waits, a, one->pid, rest);
		one->answer = rest.at;
		one->answer_len = rest.len;
	}
}

int tree_profile_join_texts(struct tree_profile *p, struct arena *a, struct bytes own,
			    struct bytes *out)
{
	struct tree_waits waits = { 0 };
	struct text t = { .size = texts_size(p, own) + DEADLOCKS_BYTES + 3 * TREE_COMMENT_BYTES };
	struct process room;

	t.at = arena_alloc(a, t.size);
	if (!t.at)
		return -1;
	take_waits(p, a, &own, &waits);
	add_comments(&t, a, p, &waits);
	if (p->request.includes_self)
		add_text(&t, own_name(&room), sys_getpid(), "", own);
	for (const struct member *one = p->request.members.first; one; one = one->next)
		if (one->state == MEMBER_ANSWERED)
			add_text(&t, name_of_member(one, &room), one->pid, "",
				 (struct bytes){ one->answer, one->answer_len });
	for (const struct tree_text *o = p->sleepers_text; o; o = o->next)
		add_text(&t, o->of->name, o->of->pid, from_outside, o->bytes);
	*out = (struct bytes){ (const uint8_t *)t.at, t.len };
	return 0;
}

void tree_profile_end(struct tree_profile *p)
{
	if (p->has_clocks)
		bell_take_down();
	sleepers_end(&p->sleepers);
	stack_table_release(&p->stacks);
	tree_end(&p->request);
}
