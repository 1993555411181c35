/*
 * A wall-clock profile: what it costs whoever is profiled, in per cent of one processor,
 * with so many threads that sleep, and with some that wake all the time; beside what a
 * dump of all threads as often would cost, which is how fgprof does it.
 *
 * All that our thread does in the window is in it: looks, the CPU profile of the same
 * window, its scans for new threads.  Beginning and end are a row of their own.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "bench/measure.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/tick.h"
#include "sampler/process/modules.h"
#include "sampler/threads/dump.h"
#include "sampler/wall/spread.h"
#include "sampler/wall/wall.h"

#define STACK_BYTES    (64UL << 10)
#define HZ	       WALL_HZ_DEFAULT
#define CPU_HZ	       100
#define WINDOWS	       3
#define WINDOW_NS      (10 * NS_PER_SECOND)
#define BUDGET_PERCENT 1
#define WAKES_EVERY_MS 2

static atomic_bool over;
static atomic_int wakers; /* so many of the first threads wake */

static void nap(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * NS_PER_MS };

	nanosleep(&ts, NULL);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void set_wakers(int count)
{
	pthread_mutex_lock(&lock);
	wakers = count;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* The first ones wake when they are told to. */
static void *waker(void *arg)
{
	for (long i = (long)arg; !over;) {
		pthread_mutex_lock(&lock);
		while (i >= wakers)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
		while (i < wakers)
			nap(WAKES_EVERY_MS);
	}
	return NULL;
}

static void *sleeper(void *unused)
{
	while (!over)
		nap(3600000);
	return unused;
}

static int threads;

static bool start_up_to(int count, int wake)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (threads < count && pthread_create(&t, &attr, threads < wake ? waker : sleeper,
						 (void *)(long)threads) == 0)
		threads++;
	usleep(500000);
	return threads == count;
}

/* As the listener's loop. */
static double window_percent(struct wall_profile *w)
{
	int64_t end = sys_now_ns() + WINDOW_NS;
	double used = cpu_now_ns();

	for (int64_t now; (now = sys_now_ns()) < end;) {
		int64_t again = MIN(cpu_do_due(now), wall_step(w));
		int64_t left = MIN(again, end) - sys_now_ns();
		struct timespec ts = { 0, MIN(MAX(left, 1), NS_PER_SECOND - 1) };

		nanosleep(&ts, NULL);
	}
	return 100 * (cpu_now_ns() - used) / (double)WINDOW_NS;
}

static void count_part(void *arg, const struct wall_part *part)
{
	*(int64_t *)arg += part->ns;
}

struct cost {
	struct spread window, ends; /* per cent; ms */
	int known;		    /* per cent of the threads */
	double sum;		    /* of what there is: 1 */
};

static void measure_once(struct cost *c, double *percent, double *ms)
{
	const char *why;
	double used = cpu_now_ns();
	struct wall_profile *w = wall_start(HZ, CPU_HZ, &why);
	struct wall_summary s;
	int64_t sum = 0;

	if (!w) {
		fprintf(stderr, "bench: %s\n", why);
		exit(1);
	}
	used = cpu_now_ns() - used;
	*percent = window_percent(w);
	used -= cpu_now_ns();
	wall_stop(w);
	wall_each(w, count_part, &sum);
	*ms = (used + cpu_now_ns()) / 1e6;
	s = wall_summary(w);
	c->known = s.known;
	c->sum = (double)sum / (double)s.life_ns;
	wall_free(w);
}

static struct cost measure(void)
{
	double percent[WINDOWS], ms[WINDOWS];
	int windows = rounds(WINDOWS);
	struct cost c = { .known = 0 };

	for (int i = 0; i < windows; i++)
		measure_once(&c, &percent[i], &ms[i]);
	c.window = spread_of(percent, windows);
	c.ends = spread_of(ms, windows);
	return c;
}

static void tell(int count, int wake)
{
	char name[64], note[128], whom[32];
	struct cost c;

	set_wakers(wake);
	usleep(400000);
	c = measure();
	snprintf(whom, sizeof(whom), wake ? "%d threads, %d wake" : "%d threads", count, wake);
	snprintf(name, sizeof(name), "wall, %s", whom);
	snprintf(note, sizeof(note),
		 "of one processor; looks know of %d %% of the threads; the sum is %.4f", c.known,
		 c.sum);
	report(name, c.window, "%", wake || count > 1000 ? NO_BUDGET : BUDGET_PERCENT, note);
	snprintf(name, sizeof(name), "wall, %s, its ends", whom);
	report(name, c.ends, "ms", NO_BUDGET, "CPU time when it begins and ends, without names");
}

static void dump_once(void *unused)
{
	struct dump *d = dump_start(false);
	int64_t again;

	(void)unused;
	while (d && (again = dump_step(d)))
		while (sys_now_ns() < again)
			usleep(100);
	if (d)
		dump_free(d);
}

static void tell_dumps(int count)
{
	struct spread s = time_batches(dump_once, NULL, NULL, rounds(15), 1);
	const double scale = HZ / 1e9 * 100;
	char name[64];

	s = (struct spread){ s.mid * scale, s.lo * scale, s.hi * scale, s.best * scale };
	snprintf(name, sizeof(name), "as often by dumps, %d threads", count);
	report(name, s, "%", NO_BUDGET, "of one processor; as fgprof does it, at 20 Hz and not 99");
}

int main(void)
{
	static const int counts[] = { 10, 100, 1000, 10000 };

	modules_init();
	carrier_handle_ticks(tick_is_ours, tick_handle);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		if (!start_up_to(counts[i], 100)) {
			fprintf(stderr, "bench: no %d threads here\n", counts[i]);
			break;
		}
		tell(counts[i], 0);
		if (counts[i] <= 1000)
			tell(counts[i], counts[i] / 10);
		tell_dumps(counts[i]);
	}
	atomic_store(&over, true);
	return 0; /* those that sleep end with the process */
}
