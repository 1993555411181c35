#include "shim/life/ancestor.h"

#include <stddef.h>
#include <string.h>

#include "sampler/base/number.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/task_call.h"
#include "sampler/process/tasks.h"
#include "shim/life/family.h"

#define GENERATIONS_MAX 8

/*
 * Ourselves: /proc may be that of our parents' namespace (unshare -p, bwrap), which has other
 * numbers for us than we, and the same for everybody else whom it shows.
 */
#define SELF 0

static void proc_path(char *buf, size_t size, int pid, const char *file)
{
	struct text t = { .at = buf, .size = size };

	text_str(&t, "/proc/");
	if (pid == SELF)
		text_str(&t, "self");
	else
		text_i64(&t, pid);
	text_str(&t, file);
}

/* Looks for the family's page in the process's maps, across the borders of the pieces read. */
static bool maps_name_family(int pid)
{
	char path[64], piece[2048 + sizeof(FAMILY_MAPPING)];
	size_t kept = 0;
	bool found = false;
	long n;
	int fd;

	proc_path(path, sizeof(path), pid, "/maps");
	fd = sys_open_read(path);
	if (fd < 0)
		return false;
	while (!found && (n = sys_read(fd, piece + kept, 2048)) > 0) {
		size_t len = kept + (size_t)n;

		found = memmem(piece, len, FAMILY_MAPPING, sizeof(FAMILY_MAPPING) - 1) != NULL;
		kept = len < sizeof(FAMILY_MAPPING) ? len : sizeof(FAMILY_MAPPING);
		memmove(piece, piece + len - kept, kept);
	}
	sys_close(fd);
	return found;
}

struct kin {
	int pid, parent, group, session; /* 0: not known */
};

/* Fields 1 and 4 to 6 of stat; the second, the name in parentheses, may hold anything. */
static struct kin kin_of(int pid)
{
	struct kin k = { 0 };
	char path[64], stat[512];
	const char *p;

	proc_path(path, sizeof(path), pid, "/stat");
	if (sys_read_file(path, stat, sizeof(stat)) <= 0)
		return k;
	p = stat;
	k.pid = (int)number_take(&p, 10);
	p = strrchr(stat, ')');
	if (!p || strlen(p) < 5)
		return k;
	p += 4;
	k.parent = (int)number_take(&p, 10);
	p += *p == ' ';
	k.group = (int)number_take(&p, 10);
	p += *p == ' ';
	k.session = (int)number_take(&p, 10);
	return k;
}

/* An orphan's parent is gone; who leads its group or session may be there, as a daemon is. */
static bool leader_has_us(void)
{
	struct kin k = kin_of(SELF);

	return (k.group != k.pid && k.group > 0 && maps_name_family(k.group)) ||
	       (k.session != k.pid && k.session > 0 && maps_name_family(k.session));
}

struct thread_search {
	int pid;
	bool found;
};

static void look_for_thread(int tid, void *arg)
{
	struct thread_search *s = arg;
	char path[64], comm[16];
	struct text t = TEXT_INIT(path);

	text_str(&t, "/proc/");
	text_i64(&t, s->pid);
	text_str(&t, "/task/");
	text_i64(&t, tid);
	text_str(&t, "/comm");
	s->found |= sys_read_file(path, comm, sizeof(comm)) > 0 &&
		    strncmp(comm, TASK_OUR_NAME, sizeof(TASK_OUR_NAME) - 1) == 0;
}

/* Another user's maps cannot be read, but the names of its threads can. */
static bool has_our_thread(int pid)
{
	struct thread_search s = { pid, false };

	tasks_each_of(pid, look_for_thread, &s);
	return s.found;
}

bool ancestor_has_us(void)
{
	int pid = SELF;

	for (int i = 0; i < GENERATIONS_MAX; i++) {
		pid = kin_of(pid).parent;
		if (pid < 1)
			break;
		if (maps_name_family(pid) ||
		    has_our_thread(pid)) /* in a container the first process may have us, too */
			return true;
	}
	return leader_has_us();
}
