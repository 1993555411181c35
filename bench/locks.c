/*
 * What the hooks on locks and waits cost.
 *
 * The program runs itself under the shim with each setting.  In there every
 * function is called in two ways in turn: through the symbol, which is the
 * shim's, and straight into libc, so that both meet the same machine at the same
 * moment; reported is the median of the ratios.  Where a process lies in memory
 * decides about a tenth of an uncontended pair, so those are the medians of many
 * processes.
 *
 *   off          PPROF_BLOCK_RATE=0 and PPROF_MUTEX_FRACTION=0
 *   on           the defaults
 *   everything   both 1, which is what ?seconds=N does while it runs
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "bench/measure.h"
#include "sampler/base/cc.h"

#define PAIR_BUDGET	  1.10
#define PAIR_INSTRUCTIONS 20 /* beyond the real two */
#define CONTENDED_BUDGET  0.97

/* ---- the two ways */

struct way {
	int (*lock)(pthread_mutex_t *);
	int (*unlock)(pthread_mutex_t *);
	int (*rdlock)(pthread_rwlock_t *);
	int (*rwunlock)(pthread_rwlock_t *);
	int (*cond_wait)(pthread_cond_t *, pthread_mutex_t *);
	int (*sem_wait)(sem_t *);
};

static struct way hooked = { pthread_mutex_lock,    pthread_mutex_unlock, pthread_rwlock_rdlock,
			     pthread_rwlock_unlock, pthread_cond_wait,	  sem_wait };
static struct way plain;

static void *in_libc(void *libc, const char *name)
{
	return dlsym(libc, name);
}

static void find_plain(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	plain.lock = (int (*)(pthread_mutex_t *))in_libc(libc, "pthread_mutex_lock");
	plain.unlock = (int (*)(pthread_mutex_t *))in_libc(libc, "pthread_mutex_unlock");
	plain.rdlock = (int (*)(pthread_rwlock_t *))in_libc(libc, "pthread_rwlock_rdlock");
	plain.rwunlock = (int (*)(pthread_rwlock_t *))in_libc(libc, "pthread_rwlock_unlock");
	plain.cond_wait =
		(int (*)(pthread_cond_t *, pthread_mutex_t *))in_libc(libc, "pthread_cond_wait");
	plain.sem_wait = (int (*)(sem_t *))in_libc(libc, "sem_wait");
}

/* ---- uncontended */

#define PAIRS 10000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;

static void mutex_pairs(const struct way *w, int n)
{
	for (int i = 0; i < n; i++) {
		w->lock(&mutex);
		w->unlock(&mutex);
	}
}

static void rwlock_pairs(const struct way *w, int n)
{
	for (int i = 0; i < n; i++) {
		w->rdlock(&rwlock);
		w->rwunlock(&rwlock);
	}
}

static void sem_pairs(const struct way *w, int n)
{
	for (int i = 0; i < n; i++) {
		sem_post(&semaphore);
		w->sem_wait(&semaphore);
	}
}

static const struct kind {
	const char *name, *what;
	void (*pairs)(const struct way *w, int n);
	double budget;
} kinds[] = {
	{ "mutex", "mutex lock+unlock, uncontended", mutex_pairs, PAIR_BUDGET },
	{ "rwlock", "rwlock rdlock+unlock, uncontended", rwlock_pairs, PAIR_BUDGET },
	{ "sem", "sem_post+sem_wait, uncontended", sem_pairs, NO_BUDGET },
};

static double cpu_of(const struct kind *k, const struct way *w)
{
	double start = cpu_now_ns();

	k->pairs(w, PAIRS);
	return cpu_now_ns() - start;
}

/* The median ratio of this process. */
static double paired(const struct kind *k)
{
	double ratio[25];

	for (unsigned i = 0; i < ARRAY_SIZE(ratio); i++) {
		double a = cpu_of(k, i % 2 ? &hooked : &plain);
		double b = cpu_of(k, i % 2 ? &plain : &hooked);

		ratio[i] = i % 2 ? a / b : b / a;
	}
	return spread_of(ratio, ARRAY_SIZE(ratio)).mid;
}

/* `pairs NAME`: one process tells its ratio. */
static int measure_pairs(const char *name)
{
	find_plain();
	sem_init(&semaphore, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			printf("%.9g\n", paired(&kinds[i]));
	}
	return 0;
}

/* ---- contended */

static struct {
	const struct way *way;
	atomic_bool stop;
	int threads;
	pthread_barrier_t start;
	pthread_cond_t ping, pong;
	int turn;
	sem_t sem[2];
	atomic_ulong done;
} contest;

static void spend(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
}

static void *fight(void *unused)
{
	unsigned long mine = 0;

	pthread_barrier_wait(&contest.start);
	while (!atomic_load_explicit(&contest.stop, memory_order_relaxed)) {
		contest.way->lock(&mutex);
		spend(400);
		contest.way->unlock(&mutex);
		spend(400);
		mine++;
	}
	atomic_fetch_add(&contest.done, mine);
	return unused;
}

static void *read_shared(void *unused)
{
	unsigned long mine = 0;

	pthread_barrier_wait(&contest.start);
	while (!atomic_load_explicit(&contest.stop, memory_order_relaxed)) {
		contest.way->rdlock(&rwlock);
		spend(400);
		contest.way->rwunlock(&rwlock);
		mine++;
	}
	atomic_fetch_add(&contest.done, mine);
	return unused;
}

/* Two threads take turns; who ends last leaves the other one a turn. */
static void *play(void *arg)
{
	int me = arg != NULL;
	unsigned long mine = 0;

	pthread_barrier_wait(&contest.start);
	contest.way->lock(&mutex);
	while (!atomic_load_explicit(&contest.stop, memory_order_relaxed)) {
		while (contest.turn != me && !contest.stop)
			contest.way->cond_wait(me ? &contest.pong : &contest.ping, &mutex);
		contest.turn = !me;
		pthread_cond_signal(me ? &contest.ping : &contest.pong);
		mine++;
	}
	contest.way->unlock(&mutex);
	pthread_cond_signal(me ? &contest.ping : &contest.pong);
	atomic_fetch_add(&contest.done, mine);
	return NULL;
}

static void *hand_over(void *arg)
{
	int me = arg != NULL;
	unsigned long mine = 0;

	pthread_barrier_wait(&contest.start);
	while (!atomic_load_explicit(&contest.stop, memory_order_relaxed)) {
		contest.way->sem_wait(&contest.sem[me]);
		sem_post(&contest.sem[!me]);
		mine++;
	}
	atomic_fetch_add(&contest.done, mine);
	return NULL;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

#define THREADS_MAX 64

/* Operations a second of wall time. */
static double throughput(void *(*fn)(void *), int threads, const struct way *w)
{
	pthread_t thread[THREADS_MAX];
	double start, end;

	contest.way = w;
	contest.done = 0;
	contest.stop = false;
	contest.turn = 0;
	pthread_barrier_init(&contest.start, NULL, (unsigned)threads + 1);
	sem_init(&contest.sem[0], 0, 1);
	sem_init(&contest.sem[1], 0, 0);
	for (long i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, fn, (void *)(i % 2));
	pthread_barrier_wait(&contest.start);
	start = clock_now_ns(CLOCK_MONOTONIC);
	sleep_ms(40);
	atomic_store(&contest.stop, true);
	sem_post(&contest.sem[0]);
	sem_post(&contest.sem[1]);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	end = clock_now_ns(CLOCK_MONOTONIC);
	pthread_barrier_destroy(&contest.start);
	return (double)contest.done / (end - start) * 1e9;
}

static struct spread contended(void *(*fn)(void *), int threads)
{
	static double ratio[BATCHES_MAX];
	int count = rounds(45);

	for (int i = 0; i < count; i++) {
		double a = throughput(fn, threads, i % 2 ? &hooked : &plain);
		double b = throughput(fn, threads, i % 2 ? &plain : &hooked);

		ratio[i] = i % 2 ? a / b : b / a;
	}
	return spread_of(ratio, count);
}

/* ---- telling */

/* Budgets are upper limits; a throughput's is turned round: time for each operation. */
static void tell(const char *what, const char *setting, struct spread s, double budget,
		 const char *note)
{
	char name[96];

	snprintf(name, sizeof(name), "%s, %s", what, setting);
	report(name, s, "ratio", budget, note);
}

static struct spread inverse(struct spread s)
{
	return (struct spread){ 1 / s.mid, 1 / s.hi, 1 / s.lo, 1 / s.best };
}

static void tell_contended(const char *what, const char *setting, void *(*fn)(void *), int threads)
{
	bool bounded = strcmp(setting, "hooks everything") != 0;

	tell(what, setting, inverse(contended(fn, threads)),
	     bounded ? 1 / CONTENDED_BUDGET : NO_BUDGET,
	     "wall time for each operation, with hooks over without");
}

/* `contended SETTING`: what the environment has set up already. */
static int measure_contended(const char *setting)
{
	find_plain();
	pthread_cond_init(&contest.ping, NULL);
	pthread_cond_init(&contest.pong, NULL);
	tell_contended("mutex, 2 threads", setting, fight, 2);
	tell_contended("mutex, 8 threads", setting, fight, 8);
	tell_contended("mutex, 64 threads", setting, fight, 64);
	tell_contended("condition ping-pong", setting, play, 2);
	tell_contended("semaphore hand-over", setting, hand_over, 2);
	tell_contended("rwlock, 8 readers", setting, read_shared, 8);
	return 0;
}

/* ---- instructions: `count hooked|plain 0 N` makes N pairs */

static int count(const char *what, int n)
{
	find_plain();
	mutex_pairs(strcmp(what, "plain") == 0 ? &plain : &hooked, n);
	return 0;
}

static void set_up_shim(const char *block, const char *mutex_fraction)
{
	char shim[512];

	snprintf(shim, sizeof(shim), "%s/libpprofshim.so",
		 getenv("BUILD") ? getenv("BUILD") : "build");
	setenv("LD_PRELOAD", shim, 1);
	setenv("ADMIN_KEY", "bench", 1);
	setenv("PPROF_PORT", "6971", 1);
	setenv("PPROF_BLOCK_RATE", block, 1);
	setenv("PPROF_MUTEX_FRACTION", mutex_fraction, 1);
}

static void tell_instructions(void)
{
	double with, without;

	set_up_shim("", "");
	setenv("PPROF_ONLY", "locks", 1);
	without = instructions("plain", 0, 10000);
	with = instructions("hooked", 0, 10000);
	unsetenv("LD_PRELOAD");
	unsetenv("PPROF_ONLY");
	if (isnan(with) || isnan(without))
		fprintf(stderr, "bench: instructions: valgrind did not count\n");
	else
		report("mutex lock+unlock, uncontended, beyond libc", exact(with - without),
		       "instructions", PAIR_INSTRUCTIONS, "the same with hooks on and off");
}

/* ---- settings */

static const struct setting {
	const char *name, *block, *mutex_fraction;
} settings[] = {
	{ "hooks off", "0", "0" },
	{ "hooks on", "", "" },
	{ "hooks everything", "1", "1" },
};

static double ask_process(const char *name, const struct setting *s)
{
	char command[80];
	double ratio = NAN;
	FILE *f;

	snprintf(command, sizeof(command), "exec /proc/%d/exe pairs %s", (int)getpid(), name);
	set_up_shim(s->block, s->mutex_fraction);
	f = popen(command, "r");
	if (!f || fscanf(f, "%lf", &ratio) != 1)
		fprintf(stderr, "bench: locks: no answer from our own program\n");
	if (f)
		pclose(f);
	unsetenv("LD_PRELOAD");
	return ratio;
}

/* One process for each setting, in turn. */
static void tell_pairs(const struct kind *k)
{
	static double ratio[ARRAY_SIZE(settings)][BATCHES_MAX];
	int count = rounds(60);

	for (int i = 0; i < count; i++)
		for (size_t n = 0; n < ARRAY_SIZE(settings); n++)
			ratio[n][i] = ask_process(k->name, &settings[n]);
	for (size_t n = 0; n < ARRAY_SIZE(settings); n++)
		tell(k->what, settings[n].name, spread_of(ratio[n], count), k->budget,
		     "CPU time; of many processes");
}

static int run_contended(const struct setting *s)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		set_up_shim(s->block, s->mutex_fraction);
		execl("/proc/self/exe", "locks", "contended", s->name, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

static int measure_all(void)
{
	int failed = 0;

	tell_instructions();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		tell_pairs(&kinds[i]);
	for (size_t n = 0; n < ARRAY_SIZE(settings); n++)
		failed = failed || run_contended(&settings[n]) != 0;
	return failed;
}

int main(int argc, char **argv)
{
	if (argc > 4 && strcmp(argv[1], "count") == 0)
		return count(argv[2], atoi(argv[4]));
	if (argc > 2 && strcmp(argv[1], "pairs") == 0)
		return measure_pairs(argv[2]);
	if (argc > 2)
		return measure_contended(argv[2]);
	return measure_all();
}
