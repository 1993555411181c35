/*
 * What the shim adds to the start of a program, to a fork and to a thread.
 *
 * Programs: `true`, with nothing, with the shim and a key, and with the shim
 * and no key (dormant), one after the other; the differences are taken pair by
 * pair.  Forks and threads: this program runs itself several times (without the
 * shim, with it, and with it while a profile is taken) and has them do short
 * batches in turn.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "bench/measure.h"
#include "sampler/base/cc.h"

extern char **environ;

static char self[512], library[1024], port_setting[32];
static int port;

static double rusage_ns(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e9 +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1e3;
}

/* ---- environments */

#define ENV_MAX 256

enum kind { PLAIN, ACTIVE, DORMANT, KINDS };

static char *env_of[KINDS][ENV_MAX];

static bool is_ours(const char *setting)
{
	return strncmp(setting, "LD_PRELOAD=", 11) == 0 || strncmp(setting, "ADMIN_KEY", 9) == 0 ||
	       strncmp(setting, "PPROF_", 6) == 0;
}

static void make_environments(void)
{
	static char preload[1100], key[] = "ADMIN_KEY=bench";

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
	for (int kind = PLAIN; kind < KINDS; kind++) {
		char **to = env_of[kind];

		for (char **e = environ; *e && to < env_of[kind] + ENV_MAX - 4; e++)
			if (!is_ours(*e))
				*to++ = *e;
		if (kind != PLAIN) {
			*to++ = preload;
			*to++ = port_setting;
		}
		if (kind == ACTIVE)
			*to++ = key;
	}
}

/* A port that nobody has now. */
static void choose_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		getsockname(fd, (struct sockaddr *)&a, &len);
	close(fd);
	port = ntohs(a.sin_port);
	snprintf(port_setting, sizeof(port_setting), "PPROF_PORT=%d", port);
}

static void find_files(void)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	snprintf(library, sizeof(library), "%s", self);
	for (int i = 0; i < 2; i++) { /* build/bench/start, build/libpprofshim.so */
		slash = strrchr(library, '/');
		if (slash)
			*slash = '\0';
	}
	strcat(library, "/libpprofshim.so");
}

/* ---- `true` */

struct cost {
	double cpu_ns, wall_ns;
};

static struct cost run_true(char *const *env)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL };
	double start = clock_now_ns(CLOCK_MONOTONIC);
	posix_spawn_file_actions_t actions;
	struct rusage used;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, env) == 0)
		wait4(pid, NULL, 0, &used);
	posix_spawn_file_actions_destroy(&actions);
	return (struct cost){ rusage_ns(&used), clock_now_ns(CLOCK_MONOTONIC) - start };
}

#define STARTS_MAX 600

static struct cost start_of[KINDS][STARTS_MAX];

static void report_starts(const char *name, enum kind kind, int count)
{
	double cpu[STARTS_MAX], wall[STARTS_MAX];
	char full[64];

	for (int i = 0; i < count; i++) {
		cpu[i] = (start_of[kind][i].cpu_ns - start_of[PLAIN][i].cpu_ns) / 1e3;
		wall[i] = (start_of[kind][i].wall_ns - start_of[PLAIN][i].wall_ns) / 1e3;
	}
	snprintf(full, sizeof(full), "start of true, %s, CPU", name);
	report(full, spread_of(cpu, count), "us more", 1000, "");
	snprintf(full, sizeof(full), "start of true, %s, wall", name);
	report(full, spread_of(wall, count), "us more", 1000, "");
}

static void measure_starts(void)
{
	int count = rounds(STARTS_MAX);
	double plain[STARTS_MAX];

	for (int i = 0; i < count; i++)
		for (int kind = PLAIN; kind < KINDS; kind++)
			start_of[kind][i] = run_true(env_of[kind]);
	for (int i = 0; i < count; i++)
		plain[i] = start_of[PLAIN][i].cpu_ns / 1e3;
	report("start of true, without the shim, CPU", spread_of(plain, count), "us", NO_BUDGET,
	       "");
	report_starts("with a key", ACTIVE, count);
	report_starts("without a key", DORMANT, count);
}

/* ---- in the child: batches of forks or threads, on demand */

static void fork_once(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void *nothing(void *unused)
{
	return unused;
}

static void thread_once(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, nothing, NULL);
	pthread_join(thread, NULL);
}

/* As long as a program has one thread, libc and the C++ library leave out what costs time. */
static void put_once(void)
{
	static FILE *null;

	if (!null)
		null = fopen("/dev/null", "w");
	putc('x', null);
}

static const struct work {
	char letter;
	void (*once)(void);
	const char *name;
	int calls; /* in a batch */
	const char *unit;
	double unit_ns, budget;
} works[] = {
	{ 'p', put_once, "putc of a program with one thread", 100000, "ns", 1, NO_BUDGET },
	{ 'f', fork_once, "fork and wait", 100, "us", 1e3, 50 },
	{ 't', thread_once, "thread create and join", 100, "us", 1e3, NO_BUDGET }, /* the last */
};

static const struct work *work_of(char letter)
{
	const struct work *w = works;

	while (w->letter != letter)
		w++;
	return w;
}

/* CPU time of this process and of the children that it has waited for. */
static double used_ns(void)
{
	struct rusage children;

	getrusage(RUSAGE_CHILDREN, &children);
	return clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) + rusage_ns(&children);
}

static void *sleep_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static int serve_batches(bool threaded)
{
	pthread_t thread;
	char letter;

	if (threaded)
		pthread_create(&thread, NULL, sleep_for_ever, NULL);
	while (scanf(" %c", &letter) == 1) {
		const struct work *work = work_of(letter);
		double start = used_ns();

		for (int i = 0; i < work->calls; i++)
			work->once();
		printf("%.3f\n", (used_ns() - start) / work->calls);
		fflush(stdout);
	}
	return 0;
}

/* ---- in the parent */

/* THREAD: without the shim, but with a second thread, which alone makes a fork dearer. */
enum mode { WITHOUT, THREAD, IDLE, PROFILING, MODES };

struct worker {
	FILE *in, *out;
	pid_t pid;
};

static bool start_worker(struct worker *w, const char *how, char *const *env)
{
	char *argv[] = { self, (char *)(uintptr_t)how, NULL };
	posix_spawn_file_actions_t actions;
	int in[2], out[2];
	int err;

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	err = posix_spawn(&w->pid, self, &actions, NULL, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	w->in = fdopen(in[1], "w");
	w->out = fdopen(out[0], "r");
	return err == 0 && w->in && w->out;
}

static double batch(struct worker *w, const struct work *work)
{
	double ns = NAN;

	fprintf(w->in, "%c\n", work->letter);
	fflush(w->in);
	if (fscanf(w->out, "%lf", &ns) != 1)
		return NAN;
	return ns;
}

static int connect_to_shim(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct timespec pause = { .tv_nsec = 20000000 };

	for (int tries = 0; tries < 250; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return fd;
		close(fd);
		nanosleep(&pause, NULL);
	}
	return -1;
}

/* A profile runs for as long as the connection is open. */
static int start_profile(void)
{
	static const char request[] = "GET /debug/pprof/profile?seconds=600 HTTP/1.1\r\n"
				      "Host: 127.0.0.1\r\nAuthorization: Bearer bench\r\n\r\n";
	char head[512];
	int fd = connect_to_shim();
	ssize_t n;

	if (fd < 0 || write(fd, request, sizeof(request) - 1) < 0)
		return -1;
	n = read(fd, head, sizeof(head) - 1);
	head[n > 0 ? n : 0] = '\0';
	return strncmp(head, "HTTP/1.1 200", 12) == 0 ? fd : -1;
}

#define BATCHES 60

static void report_more(const struct work *work, enum mode mode, const double *with,
			const double *without, int count)
{
	static const char *const how[] = { "", "idle thread, no shim", "shim idle",
					   "profile at 100 Hz" };
	double value[BATCHES];
	char name[96], unit[16];

	for (int i = 0; i < count; i++)
		value[i] = (with[i] - without[i]) / work->unit_ns;
	snprintf(name, sizeof(name), "%s, %s, CPU", work->name, how[mode]);
	snprintf(unit, sizeof(unit), "%s more", work->unit);
	report(name, spread_of(value, count), unit, mode == THREAD ? NO_BUDGET : work->budget, "");
}

static void report_without(const struct work *work, const double *without, int count)
{
	double value[BATCHES];
	char name[96];

	for (int i = 0; i < count; i++)
		value[i] = without[i] / work->unit_ns;
	snprintf(name, sizeof(name), "%s, without the shim, CPU", work->name);
	report(name, spread_of(value, count), work->unit, NO_BUDGET, "");
}

static void measure_batches(struct worker *w, const struct work *work)
{
	static double ns[MODES][BATCHES];
	int count = rounds(BATCHES);

	for (int i = -1; i < count; i++) { /* one to warm up */
		for (int mode = WITHOUT; mode < MODES; mode++)
			ns[mode][MAX(i, 0)] = batch(&w[mode], work);
	}
	for (int mode = THREAD; mode < MODES; mode++)
		report_more(work, mode, ns[mode], ns[WITHOUT], count);
	report_without(work, ns[WITHOUT], count);
}

/* Each worker with the shim has a port of its own. */
static bool measure_forks_and_threads(void)
{
	struct worker w[MODES];
	int profile;

	if (!start_worker(&w[WITHOUT], "serve", env_of[PLAIN]) ||
	    !start_worker(&w[THREAD], "serve-threaded", env_of[PLAIN]) ||
	    !start_worker(&w[PROFILING], "serve", env_of[ACTIVE]))
		return false;
	profile = start_profile();
	choose_port();
	make_environments();
	if (profile < 0 || !start_worker(&w[IDLE], "serve", env_of[ACTIVE]))
		return false;
	close(connect_to_shim()); /* it is up */
	for (size_t i = 0; i < ARRAY_SIZE(works); i++)
		measure_batches(w, &works[i]);
	for (int mode = WITHOUT; mode < MODES; mode++) {
		fclose(w[mode].in);
		waitpid(w[mode].pid, NULL, 0);
		fclose(w[mode].out);
	}
	close(profile);
	return true;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return serve_batches(strcmp(argv[1], "serve-threaded") == 0);
	find_files();
	choose_port();
	make_environments();
	measure_starts();
	if (measure_forks_and_threads())
		return 0;
	fprintf(stderr, "bench: start: no profile from our own program\n");
	return 1;
}
