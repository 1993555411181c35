#include "shim/life/tree.h"

#include "sampler/base/sys.h"
#include "sampler/process/descendants.h"
#include "shim/life/family.h"
#include "shim/life/takeover.h"

#define GENERATIONS_MAX 64
#define STRANGERS_MAX	64

static bool takes_any;

void tree_init(bool any)
{
	takes_any = any;
}

static bool descends_from(int pid, int ancestor)
{
	struct process p = { .parent = pid };

	for (int i = 0; i < GENERATIONS_MAX && p.parent > 1; i++) {
		if (p.parent == ancestor)
			return true;
		if (!process_read(p.parent, &p))
			return false;
	}
	return p.parent == ancestor;
}

bool tree_has(int pid)
{
	int self = sys_getpid();

	if (pid == self)
		return false;
	return takes_any || family_reason_of(pid) == TAKEOVER_JOINS || descends_from(pid, self);
}

/*
 * Those that never said anything to us may share other pages.  Each costs a look at its
 * maps, so there is an end to it; members that have a listener are there already.
 */
void tree_call(const struct process_list *l)
{
	int left = STRANGERS_MAX;

	family_ask();
	for (size_t i = 0; l && i < l->count && left; i++) {
		const struct process *p = &l->list[i];

		if (p->pid == sys_getpid() || p->state == 'Z' || family_reason_of(p->pid) >= 0)
			continue;
		family_ask_other(p->pid);
		left--;
	}
}

bool tree_has_joined(int pid)
{
	return family_reason_of(pid) == TAKEOVER_JOINS;
}

const char *tree_why_not(int pid)
{
	switch (family_reason_of(pid)) {
	case TAKEOVER_FILTERED:
		return "it has installed a system-call filter";
	case TAKEOVER_RESTS:
		return "it was a member and sleeps, or computes without a wait";
	case TAKEOVER_NO_THREAD:
		return "no thread could be started in it";
	default:
		return "";
	}
}
