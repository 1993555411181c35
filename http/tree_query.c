#include "http/tree_query.h"

#include <limits.h>
#include <string.h>

#include "sampler/base/number.h"
#include "sampler/base/pattern.h"
#include "sampler/base/sys.h"
#include "sampler/process/descendants.h"

#define PID_WANTED                                                                                 \
	"invalid value for \"pid\" - must be \"self\", the number of a process, or up to 64 of "   \
	"them with commas between"

static bool take_pid(struct tree_query *q, const char **at)
{
	const char *start = *at;
	uint64_t pid;

	if (strncmp(*at, "self", 4) == 0) {
		*at += 4;
		q->says_self = true;
		pid = (uint64_t)sys_getpid();
	} else {
		pid = number_take(at, 10);
	}
	if (*at == start || pid == 0 || pid > INT_MAX || q->pid_count == TREE_PIDS_MAX)
		return false;
	q->pid[q->pid_count++] = (int)pid;
	return true;
}

static const char *read_pids(struct tree_query *q, const char *at)
{
	do {
		if (!take_pid(q, &at))
			return PID_WANTED;
	} while (*at++ == ',');
	return at[-1] ? PID_WANTED : NULL;
}

const char *tree_query_read(const struct http_request *r, struct tree_query *q)
{
	char pids[TREE_PIDS_MAX * 12];

	*q = (struct tree_query){ 0 };
	http_query(r, "process", q->name, sizeof(q->name));
	return http_query(r, "pid", pids, sizeof(pids)) ? read_pids(q, pids) : NULL;
}

static bool has_pid(const struct tree_query *q, int pid)
{
	for (size_t i = 0; i < q->pid_count; i++)
		if (q->pid[i] == pid)
			return true;
	return q->pid_count == 0;
}

bool tree_query_has_named(const struct tree_query *q, int pid, const char *name)
{
	return has_pid(q, pid) && (!*q->name || pattern_matches(q->name, name));
}

bool tree_query_has(const struct tree_query *q, int pid)
{
	struct process p;

	return has_pid(q, pid) &&
	       (!*q->name || (process_read(pid, &p) && tree_query_has_named(q, pid, p.name)));
}

bool tree_query_is_own(const struct tree_query *q)
{
	return q->pid_count == 1 && q->pid[0] == sys_getpid();
}

bool tree_query_is_self(const struct tree_query *q)
{
	return q->says_self && tree_query_is_own(q);
}
