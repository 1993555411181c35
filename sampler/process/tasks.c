#include "sampler/process/tasks.h"

#include <stdint.h>
#include <string.h>

#include "sampler/base/number.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/status.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/peek.h"

struct task_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* "." and ".." are none. */
static void visit_entries(const char *entries, long len, void (*fn)(int number, void *arg),
			  void *arg)
{
	for (long at = 0; at < len;) {
		const struct task_entry *e = (const struct task_entry *)(entries + at);
		const char *name = e->name;

		if (*name != '.')
			fn((int)number_take(&name, 10), arg);
		at += e->len;
	}
}

/* Closes fd. */
static bool each_number(int fd, void (*fn)(int number, void *arg), void *arg)
{
	char entries[8192] __attribute__((aligned(8)));
	long n;

	if (fd < 0)
		return false;
	while ((n = sys_call3(SYS_getdents64, fd, (long)entries, sizeof(entries))) > 0)
		visit_entries(entries, n, fn, arg);
	sys_close(fd);
	return n == 0;
}

static int dir = -1;

void tasks_new_descriptors(void)
{
	dir = sys_open_read("/proc/self/task");
}

int tasks_dir(void)
{
	if (dir < 0)
		tasks_new_descriptors();
	return dir;
}

long tasks_read_file(int tid, const char *file, char *buf, size_t size)
{
	char path[48];
	struct text t = TEXT_INIT(path);
	long n;
	int fd;

	text_i64(&t, tid);
	text_str(&t, file);
	fd = tasks_dir() < 0 ? -1 : sys_open_read_at(dir, path);
	if (fd < 0)
		return fd;
	n = sys_read(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	sys_close(fd);
	return n;
}

struct living {
	int ended; /* the first thread, or 0 */
	void (*fn)(int tid, void *arg);
	void *arg;
};

static void visit_living(int tid, void *arg)
{
	const struct living *l = arg;

	if (tid != l->ended)
		l->fn(tid, l->arg);
}

/* Opened anew: where a reader is in a directory belongs to the descriptor. */
bool tasks_each(void (*fn)(int tid, void *arg), void *arg)
{
	struct living l = { peek_first_thread_has_ended() ? sys_getpid() : 0, fn, arg };

	return each_number(tasks_dir() < 0 ? -1 : sys_open_read_at(dir, "."), visit_living, &l);
}

static void (*list_noted)(void (*fn)(int tid, void *arg), void *arg);

void tasks_know_from(void (*list)(void (*fn)(int tid, void *arg), void *arg))
{
	list_noted = list;
}

/* Whoever has noted itself has a CPU clock that is not at 0. */
static bool lives(int tid)
{
	return sys_clock_ns(sys_thread_clock(tid)) > 0;
}

static void visit_noted(int tid, void *arg)
{
	const struct living *l = arg;

	if (tid != l->ended && lives(tid))
		l->fn(tid, l->arg);
}

bool tasks_each_known(void (*fn)(int tid, void *arg), void *arg)
{
	struct living l = { sys_getpid(), fn, arg };

	if (tasks_dir() >= 0)
		return tasks_each(fn, arg);
	if (!peek_first_thread_has_ended())
		fn(sys_getpid(), arg);
	if (list_noted)
		list_noted(visit_noted, &l);
	return false;
}

bool tasks_each_descriptor(void (*fn)(int fd, void *arg), void *arg)
{
	return each_number(sys_open_read("/proc/self/fd"), fn, arg);
}

bool tasks_each_of(int pid, void (*fn)(int tid, void *arg), void *arg)
{
	char folder[32];
	struct text t = TEXT_INIT(folder);

	text_str(&t, "/proc/");
	text_i64(&t, pid);
	text_str(&t, "/task");
	return each_number(sys_open_read(folder), fn, arg);
}

bool processes_each(void (*fn)(int pid, void *arg), void *arg)
{
	return each_number(sys_open_read("/proc"), fn, arg);
}

long process_read_status(int id, char *status, size_t size)
{
	char path[32];
	struct text t = TEXT_INIT(path);

	text_str(&t, "/proc/");
	text_i64(&t, id);
	text_str(&t, "/status");
	return sys_read_file(path, status, size);
}

static void count_one(int tid, void *count)
{
	(void)tid;
	++*(uint64_t *)count;
}

uint64_t tasks_count(void)
{
	uint64_t count = 0;

	tasks_each(count_one, &count);
	return count ? count - 1 : 0;
}

uint64_t task_blocked_signals(int tid)
{
	char status[4096];

	if (tasks_read_file(tid, "/status", status, sizeof(status)) <= 0)
		return 0;
	sandbox_check(status_number(status, "Seccomp_filters", 10));
	return status_number(status, "SigBlk", 16);
}

bool task_blocks_signal(int tid, int signal)
{
	uint64_t blocked = task_blocked_signals(tid);

	return signal && blocked & 1ULL << (signal - 1);
}
