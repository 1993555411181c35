/*
 * A dump of all threads: how long it takes, what memory it takes, and what it does
 * to a thread that has work to do meanwhile.
 *
 * The threads wait, each below a few frames, in turn in a futex, a read, a poll and
 * a sleep.  "dump" is what the sampler does; names and the file come on top, as for
 * any profile.  The latency is that of a thread that is woken every 200 us: how late
 * it is in the worst of a hundred, with and without dumps one after the other.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "bench/measure.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/tick.h"
#include "sampler/process/modules.h"
#include "sampler/threads/dump.h"

#define BUDGET_NS_A_THREAD 10000
#define STACK_BYTES	   (64UL << 10)
#define NAMED		   __attribute__((noinline))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go_on = PTHREAD_COND_INITIALIZER;
static bool over;
static int never[2];

NAMED static int wait_in_futex(void)
{
	pthread_mutex_lock(&lock);
	while (!over)
		pthread_cond_wait(&go_on, &lock);
	pthread_mutex_unlock(&lock);
	return 0;
}

NAMED static int wait_in_read(void)
{
	char c;

	return (int)read(never[0], &c, 1) + 1;
}

NAMED static int wait_in_poll(void)
{
	struct pollfd p = { never[0], POLLIN, 0 };

	return poll(&p, 1, -1) + 1;
}

NAMED static int deeper(long i, int depth)
{
	static int (*const wait[])(void) = { wait_in_futex, wait_in_read, wait_in_poll };
	volatile int left = depth;

	return left ? deeper(i, left - 1) + left : wait[i % 3]();
}

static void *waiter(void *arg)
{
	long i = (long)arg;

	deeper(i, 4 + (int)(i % 8));
	return NULL;
}

static pthread_t thread[10000];
static int threads;

static bool start_up_to(int count)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (threads < count &&
	       pthread_create(&thread[threads], &attr, waiter, (void *)(long)threads) == 0)
		threads++;
	usleep(200000);
	return threads == count;
}

static void end_threads(void)
{
	pthread_mutex_lock(&lock);
	over = true;
	pthread_cond_broadcast(&go_on);
	pthread_mutex_unlock(&lock);
	close(never[1]); /* ends the reads and the polls */
	while (threads > 0)
		pthread_join(thread[--threads], NULL);
}

static struct {
	size_t bytes; /* mapped while the last dump was there */
	uint32_t unseen;
} last;

static void dump_once(void *unused)
{
	size_t before = sys_mapped_bytes();
	struct dump *d = dump_start(false);
	int64_t again;

	(void)unused;
	if (!d)
		return;
	while ((again = dump_step(d)))
		while (sys_now_ns() < again)
			usleep(100);
	last.unseen = 0;
	for (uint32_t i = 0; i < d->count; i++)
		last.unseen += d->thread[i].how != DUMP_WAITING;
	last.bytes = sys_mapped_bytes() - before;
	dump_free(d);
}

/* ---- what the kernel takes for it */

static void read_bare(int dir, int tid, const char *file, int times)
{
	char path[64], text[256];
	int fd;

	snprintf(path, sizeof(path), "%d/%s", tid, file);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < times; i++)
		if (pread(fd, text, sizeof(text), 0) <= 0)
			fprintf(stderr, "bench: no %s\n", path);
	close(fd);
}

/* One look at a stack of this size, as most threads need. */
static void copy_bare(pid_t pid)
{
	static char from[8192], to[8192];
	struct iovec local = { to, sizeof(to) }, remote = { from, sizeof(from) };

	process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

/* The same system calls on the same threads, and nothing made of what they say. */
static void read_all_bare(void *unused)
{
	DIR *tasks = opendir("/proc/self/task");
	pid_t pid = getpid(), self = gettid();
	struct dirent *e;

	(void)unused;
	while (tasks && (e = readdir(tasks))) {
		int tid = atoi(e->d_name);

		if (tid == 0 || tid == self)
			continue;
		read_bare(dirfd(tasks), tid, "comm", 1);
		read_bare(dirfd(tasks), tid, "syscall", 2);
		copy_bare(pid);
	}
	if (tasks)
		closedir(tasks);
}

static void measure_dump(int count)
{
	int batches = rounds(count > 1000 ? 15 : 60);
	char name[64], note[96];
	struct spread s;

	dump_once(NULL); /* learns the rows */
	s = time_batches(dump_once, NULL, NULL, batches, count);
	snprintf(name, sizeof(name), "thread dump, %d threads", count);
	snprintf(note, sizeof(note), "CPU time a thread, %.3g ms in all", s.mid * count / 1e6);
	/* of a few threads, the fixed cost is the larger part */
	report(name, s, "ns", count < 100 ? NO_BUDGET : BUDGET_NS_A_THREAD, note);
	snprintf(name, sizeof(name), "thread dump, %d threads, memory", count);
	snprintf(note, sizeof(note), "address space, given back after; %u threads not seen waiting",
		 last.unseen);
	report(name, exact((double)last.bytes / 1024), "KiB", NO_BUDGET, note);
	snprintf(name, sizeof(name), "thread dump, %d threads, its system calls alone", count);
	report(name, time_batches(read_all_bare, NULL, NULL, batches, count), "ns", NO_BUDGET,
	       "a thread's two files of /proc, one read twice, and its stack");
}

/* ---- latency */

#define WAKEUPS	  2000
#define PERIOD_NS 200000

static atomic_bool dumping;

static void *dump_on_and_on(void *unused)
{
	while (atomic_load(&dumping))
		dump_once(NULL);
	return unused;
}

/* How late the thread was at the worst of a hundred wake-ups, in us. */
static double lateness(void)
{
	static double late[WAKEUPS];
	int64_t due = sys_now_ns() + PERIOD_NS;

	for (int i = 0; i < WAKEUPS; i++, due += PERIOD_NS) {
		struct timespec ts = { due / NS_PER_SECOND, due % NS_PER_SECOND };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		late[i] = (double)(sys_now_ns() - due) / 1000;
	}
	qsort(late, WAKEUPS, sizeof(*late), ascending);
	return late[WAKEUPS * 99 / 100];
}

static double lateness_while_dumping(void)
{
	pthread_t dumper;
	double us;

	atomic_store(&dumping, true);
	pthread_create(&dumper, NULL, dump_on_and_on, NULL);
	us = lateness();
	atomic_store(&dumping, false);
	pthread_join(dumper, NULL);
	return us;
}

static void measure_latency(int count)
{
	enum { PAIRS = 9 };
	double alone[PAIRS], with[PAIRS];
	int pairs = rounds(PAIRS);
	char name[64], note[96];
	struct spread quiet;

	for (int i = 0; i < pairs; i++) {
		alone[i] = lateness();
		with[i] = lateness_while_dumping();
	}
	quiet = spread_of(alone, pairs);
	snprintf(name, sizeof(name), "latency while %d threads are dumped", count);
	snprintf(note, sizeof(note),
		 "1 in 100 wake-ups is later; %.3g without, always one dump under way", quiet.mid);
	report(name, spread_of(with, pairs), "us", NO_BUDGET, note);
}

int main(void)
{
	static const int counts[] = { 1, 100, 1000, 10000 };

	modules_init();
	carrier_handle_ticks(tick_is_ours, tick_handle);
	if (pipe(never) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		if (!start_up_to(counts[i])) {
			fprintf(stderr, "bench: no %d threads here\n", counts[i]);
			break;
		}
		measure_dump(counts[i]);
		if (counts[i] == 1000)
			measure_latency(counts[i]);
	}
	end_threads();
	return 0;
}
