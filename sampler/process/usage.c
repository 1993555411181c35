#include "sampler/process/usage.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <time.h>

#include "sampler/base/number.h"
#include "sampler/base/status.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/tasks.h"

static const char own_status[] = "/proc/thread-self/status";

static void read_memory(const char *path, struct usage *u)
{
	char status[4096];

	if (sys_read_file(path, status, sizeof(status)) <= 0)
		return;
	/* in kB */
	u->rss = status_number(status, "VmRSS", 10) << 10;
	u->rss_anon = status_number(status, "RssAnon", 10) << 10;
}

/* The 22nd word of stat, in ticks since the machine was started; the name before may have anything
 * in it. */
static int64_t age_ns(void)
{
	char stat[1024];
	const char *at;
	uint64_t ticks;
	int64_t tick_ns = NS_PER_SECOND / (int64_t)(getauxval(AT_CLKTCK) ?: 100);

	if (sys_read_file("/proc/self/stat", stat, sizeof(stat)) <= 0 || !(at = strrchr(stat, ')')))
		return 0;
	for (int word = 2; word < 22 && at; word++)
		at = strchr(at + 1, ' ');
	if (!at)
		return 0;
	at++;
	ticks = number_take(&at, 10);
	return sys_clock_ns(CLOCK_BOOTTIME) - (int64_t)ticks * tick_ns;
}

static void count_one(int fd, void *count)
{
	(void)fd;
	++*(uint64_t *)count;
}

void usage_read(struct usage *u)
{
	struct rlimit limit = { 0 };

	*u = (struct usage){ .age_ns = age_ns() };
	read_memory(own_status, u);
	tasks_each_descriptor(count_one, &u->descriptors);
	if (sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) == 0)
		u->descriptors_max = limit.rlim_cur;
	u->cpu_ns = sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t usage_rss_anon(void)
{
	struct usage u = { 0 };

	read_memory(own_status, &u);
	return u.rss_anon;
}

uint64_t usage_rss_anon_of(int pid)
{
	char path[32];
	struct text t = TEXT_INIT(path);
	struct usage u = { 0 };

	text_str(&t, "/proc/");
	text_i64(&t, pid);
	text_str(&t, "/status");
	read_memory(path, &u);
	return u.rss_anon;
}
