/*
 * How long a client waits for the answer once the sampling has ended, and what
 * memory that takes: a full table of stacks, named, encoded and compressed.
 *
 * The stacks make a tree, as those of a program do: each shares its root frames
 * with an earlier one.  Their addresses are those of real modules, among them
 * BENCH_PLUGIN, which has debug information.  Each run is a process of its own,
 * as the first answer of a server reads its tables from the files.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "bench/pool.h"
#include "proto/build.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/cpu.h"
#include "sampler/unwind/ring.h"
#include "sampler/unwind/stacks.h"

#define STACKS	   15000
#define DEPTH	   40
#define ARENA_MAX  (64UL << 20)
#define RING_BYTES (8UL << 20) /* as in cpu.c; it is held while the answer is made */

static struct pool pool;

/* ---- a full table */

static void fill_stacks(struct stack_table *t)
{
	static uint64_t pc[STACKS][DEPTH]; /* leaf first */

	for (uint32_t i = 0; i < STACKS; i++) {
		uint32_t own = 1 + (uint32_t)random_below(random_below(2) ? 4 : DEPTH);
		const uint64_t *parent = pc[i ? random_below(i) : 0];
		struct stack *s;

		memcpy(pc[i], parent, sizeof(pc[i]));
		for (uint32_t k = 0; k < (i ? own : DEPTH); k++)
			pc[i][k] = pool.pc[random_below(pool.count)];
		s = stack_table_add(t, pc[i], DEPTH);
		if (s) {
			s->value[CPU_VALUE_SAMPLES]++;
			s->value[CPU_VALUE_NS] += 10 * NS_PER_MS;
		}
	}
}

/* ---- the most that was mapped, seen by another thread */

static atomic_bool watching;
static size_t most_mapped;

static void *watch(void *unused)
{
	const struct timespec pause = { .tv_nsec = 50000 };

	(void)unused;
	while (atomic_load(&watching)) {
		most_mapped = MAX(most_mapped, sys_mapped_bytes());
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ---- one answer */

struct outcome {
	double cpu_ms, wall_ms, file_kib;
	double before_mib, kept_mib, most_mib; /* mapped: before, by the answer's arena, at most */
	uint64_t lines_cut;
};

static int build_answer(struct arena *a, const struct stack_table *t, enum symbols_detail detail,
			struct bytes *file)
{
	const struct profile_head head = { .sample_type = { { "samples", "count" },
							    { "cpu", "nanoseconds" } },
					   .sample_type_count = 2,
					   .default_sample_type = "",
					   .period_type = { "cpu", "nanoseconds" },
					   .period = 10 * NS_PER_MS,
					   .duration_ns = NS_PER_SECOND };

	return build_profile(a, t, &head, detail, file);
}

static int answer(size_t addresses, enum symbols_detail detail, struct outcome *o)
{
	struct arena a = ARENA_INIT(ARENA_MAX);
	struct stack_table stacks;
	struct ring ring;
	struct bytes file;
	double cpu, wall;
	pthread_t watcher;
	int failed;

	load_libraries();
	fill_pool(&pool, addresses);
	stack_table_init(&stacks, 24UL << 20);
	fill_stacks(&stacks);
	ring_init(&ring, RING_BYTES);
	o->before_mib = (double)sys_mapped_bytes() / (1 << 20);
	atomic_store(&watching, true);
	pthread_create(&watcher, NULL, watch, NULL);
	cpu = cpu_now_ns();
	wall = clock_now_ns(CLOCK_MONOTONIC);
	failed = build_answer(&a, &stacks, detail, &file);
	o->cpu_ms = (cpu_now_ns() - cpu) / 1e6;
	o->wall_ms = (clock_now_ns(CLOCK_MONOTONIC) - wall) / 1e6;
	atomic_store(&watching, false);
	pthread_join(watcher, NULL);
	o->most_mib = (double)MAX(most_mapped, sys_mapped_bytes()) / (1 << 20);
	o->kept_mib = (double)a.mapped / (1 << 20);
	o->file_kib = (double)file.len / 1024;
	o->lines_cut = counter_get(COUNTER_SYMBOL_LINES_TIMED_OUT);
	return failed;
}

/* In a child, whose memory and caches go with it. */
static bool answer_in_child(size_t addresses, enum symbols_detail detail, struct outcome *o)
{
	int fd[2];
	bool ok;
	pid_t pid;

	if (pipe(fd) != 0)
		return false;
	pid = fork();
	if (pid == 0) {
		if (answer(addresses, detail, o) != 0)
			_exit(1);
		_exit(write(fd[1], o, sizeof(*o)) != sizeof(*o));
	}
	close(fd[1]);
	ok = read(fd[0], o, sizeof(*o)) == sizeof(*o);
	close(fd[0]);
	waitpid(pid, NULL, 0);
	return ok;
}

/* ---- */

#define RUNS_MAX 15

static bool measure(const char *what, size_t addresses, enum symbols_detail detail)
{
	int runs = rounds(RUNS_MAX);
	double cpu[RUNS_MAX], wall[RUNS_MAX], most[RUNS_MAX];
	struct outcome o = { 0 };
	char name[80], note[120];

	for (int i = 0; i < runs; i++) {
		if (!answer_in_child(addresses, detail, &o)) {
			fprintf(stderr, "bench: answer, %s: memory ran out\n", what);
			return false;
		}
		cpu[i] = o.cpu_ms;
		wall[i] = o.wall_ms;
		most[i] = o.most_mib;
	}
	snprintf(note, sizeof(note), "%.0f KiB file, %lu addresses without line for lack of time",
		 o.file_kib, o.lines_cut);
	snprintf(name, sizeof(name), "answer, %s, CPU", what);
	report(name, spread_of(cpu, runs), "ms", 500, note);
	snprintf(name, sizeof(name), "answer, %s, wall", what);
	report(name, spread_of(wall, runs), "ms", 500, note);
	snprintf(note, sizeof(note),
		 "most mapped; %.1f before (ring, stacks, rows), %.1f the answer's", o.before_mib,
		 o.kept_mib);
	snprintf(name, sizeof(name), "answer, %s, memory", what);
	report(name, spread_of(most, runs), "MiB", 32, note);
	return true;
}

/* `once names|lines ADDRESSES`: for a look with valgrind. */
static int once(const char *detail, size_t addresses)
{
	struct outcome o;

	return answer(addresses, detail[0] == 'l' ? SYMBOLS_LINES : SYMBOLS_NAMES, &o);
}

int main(int argc, char **argv)
{
	bool ok;

	if (argc == 4)
		return once(argv[2], (size_t)atol(argv[3]));
	ok = measure("2000 addresses, names", 2000, SYMBOLS_NAMES);
	ok &= measure("10000 addresses, names", 10000, SYMBOLS_NAMES);
	ok &= measure("2000 addresses, lines", 2000, SYMBOLS_LINES);
	ok &= measure("10000 addresses, lines", 10000, SYMBOLS_LINES);
	return !ok;
}
