#include "sampler/process/tasks.h"

#include <stdint.h>
#include <string.h>

#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

struct task_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t len;
	uint8_t type;
	char name[];
};

static int parse_tid(const char *name)
{
	int tid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		tid = tid * 10 + (*name - '0');
	return tid;
}

static void visit_entries(const char *entries, long len, void (*fn)(int tid, void *arg), void *arg)
{
	for (long at = 0; at < len;) {
		const struct task_entry *e = (const struct task_entry *)(entries + at);
		int tid = parse_tid(e->name);

		if (tid)
			fn(tid, arg);
		at += e->len;
	}
}

bool tasks_each(void (*fn)(int tid, void *arg), void *arg)
{
	char entries[8192] __attribute__((aligned(8)));
	int fd = sys_open_read("/proc/self/task");
	long n;

	if (fd < 0)
		return false;
	while ((n = sys_call3(SYS_getdents64, fd, (long)entries, sizeof(entries))) > 0)
		visit_entries(entries, n, fn, arg);
	sys_close(fd);
	return n == 0;
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

static uint64_t parse_hex_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	uint64_t n = 0;

	for (at = at ? at + strlen(name) : ""; *at; at++) {
		if (*at >= '0' && *at <= '9')
			n = n << 4 | (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			n = n << 4 | (uint64_t)(*at - 'a' + 10);
		else if (*at != '\t' && *at != ' ')
			break;
	}
	return n;
}

bool task_blocks_signal(int tid, int signal)
{
	char path[64], status[4096];
	struct text t = TEXT_INIT(path);

	text_str(&t, "/proc/self/task/");
	text_i64(&t, tid);
	text_str(&t, "/status");
	if (sys_read_file(path, status, sizeof(status)) <= 0)
		return false;
	sandbox_check(parse_hex_after(status, "Seccomp_filters:"));
	return parse_hex_after(status, "SigBlk:") & 1ULL << (signal - 1);
}
