#include "http/tree.h"

#include <errno.h>
#include <sys/wait.h>

#include "http/routes_config.h"
#include "http/tree_past.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

#define LISTS_BYTES (16UL << 20)

/* How long a snapshot waits for those that were called after a time in which nobody was. */
#define JOIN_NS	 (250 * NS_PER_MS)
#define QUIET_NS (30 * NS_PER_SECOND)
/* Scrapers wait as long after the sampling. */
#define LATE_NS (400 * NS_PER_MS)
/* The first look after the end; the next ones are as members_look() says. */
#define SOON_NS (5 * NS_PER_MS)
/* Members stay for a minute after a call. */
#define STAY_NS	      (60 * NS_PER_SECOND)
#define CALL_AGAIN_NS (20 * NS_PER_SECOND)

static int64_t called_ns; /* when they were called last, 0: never */
static bool had_others;	  /* this process was one of several when a profile was taken */

/* One call of the kernel, for a process without children, which most are. */
static bool has_children(void)
{
	return sys_call6(SYS_waitid, P_ALL, 0, 0, WEXITED | WNOHANG | WNOWAIT, 0, 0) != -ECHILD;
}

/* `l`: NULL where it is not known who is there. */
static void call(const struct process_list *l, int64_t now)
{
	routes_config()->call_members(l);
	called_ns = now;
}

bool tree_was_called(void)
{
	return called_ns && sys_now_ns() - called_ns < STAY_NS;
}

static bool is_possible(void)
{
	return routes_config()->call_members && members_can_be_found() && !sandbox_is_noted();
}

/* A member calls those that it forked: they share its pages and not those of who asks. */
bool tree_is_asked(const struct http_exchange *x, const struct tree_query *q)
{
	if (!is_possible())
		return false;
	if (http_is_trusted(x)) {
		had_others = true;
		call(NULL, sys_now_ns());
	}
	return !http_is_trusted(x) && !tree_query_is_self(q) &&
	       (has_children() || had_others || q->pid_count);
}

/* It is there, or ended and what it answered before is kept. */
static bool has_process(int pid)
{
	const struct routes_config *c = routes_config();
	struct process p;

	if (pid == sys_getpid())
		return true;
	return is_possible() &&
	       (tree_past_has(pid) || (c->is_member && c->is_member(pid) && process_read(pid, &p)));
}

bool tree_has_asked(const struct http_exchange *x, const struct tree_query *q)
{
	for (size_t i = 0; i < q->pid_count; i++)
		if (has_process(q->pid[i]))
			return true;
	return q->pid_count == 0 || http_is_trusted(x);
}

static void note_others(const struct tree_request *t)
{
	had_others |= t->processes.count > 1 || t->members.count > 0;
}

/* A server that forks for each request may have no child just now. */
bool tree_may_come(const struct http_exchange *x, const struct tree_query *q)
{
	return is_possible() && !http_is_trusted(x) && !tree_query_is_self(q) &&
	       routes_config()->has_forked();
}

static bool is_wanted(int pid, void *arg)
{
	const struct tree_request *t = arg;

	return tree_query_has(&t->query, pid);
}

static void write_target(struct text *out, void *arg)
{
	const struct tree_request *t = arg;

	t->write_target(out, t->arg);
}

void tree_begin(struct tree_request *t, int64_t open_until_ns)
{
	const struct members_request ask = { .write_target = write_target,
					     .is_wanted = is_wanted,
					     .arg = t };
	int64_t now = sys_now_ns();
	bool alone = tree_query_is_own(&t->query);
	bool quiet = !alone && (!called_ns || now - called_ns > QUIET_NS);

	t->arena.limit = LISTS_BYTES;
	descendants_list(&t->arena, sys_getpid(), &t->processes);
	t->includes_self = tree_query_has(&t->query, sys_getpid());
	if (!alone)
		call(&t->processes, now);
	members_ask(&t->members, &ask);
	note_others(t);
	t->open_until_ns = open_until_ns ? open_until_ns : now + (quiet ? JOIN_NS : 0);
}

void tree_keep_open(struct tree_request *t)
{
	t->least_ns = t->open_until_ns;
	t->open_until_ns = INT64_MAX;
}

void tree_close(struct tree_request *t)
{
	t->open_until_ns = t->least_ns;
}

/* Patience counts from when we came to close it: on a busy machine we are late ourselves. */
static void stop_asking(struct tree_request *t, int64_t now)
{
	t->is_closed = true;
	t->late_ns = now + (t->patience_ns ? t->patience_ns : LATE_NS);
}

void tree_hasten(struct tree_request *t, const char *id)
{
	int64_t now = sys_now_ns();

	if (t->is_hastened)
		return;
	t->is_hastened = true;
	t->open_until_ns = MIN(t->open_until_ns, now);
	members_hasten(&t->members, id);
}

int64_t tree_look(struct tree_request *t)
{
	int64_t now = sys_now_ns();
	bool open = now < t->open_until_ns;
	int64_t again = members_look(&t->members, !t->is_closed); /* once more at the end */

	if (open && now - called_ns > CALL_AGAIN_NS)
		call(&t->processes, now);
	if (open)
		return MIN(again, t->open_until_ns);
	if (!t->is_closed)
		stop_asking(t, now);
	if (t->members.waiting && now < t->late_ns)
		return MIN(again, now + SOON_NS);
	members_give_up(&t->members);
	return 0;
}

void tree_end(struct tree_request *t)
{
	note_others(t);
	members_end(&t->members);
	arena_release(&t->arena);
}
