/*
 * A program that allocates, for bench/heap.py: run under each allocator and
 * profiler, told on stdin what to do, answering with the CPU time of one call.
 *
 *   pair THREADS CALLS    malloc of 64 bytes and free
 *   mixed THREADS CALLS   sizes as programs have them, 512 blocks alive in each thread
 *   deep FRAMES CALLS     the pair, that many frames down
 *   keep COUNT SIZE       allocate so many more and keep them; answers with their number
 *   holes                 free every other one that is kept
 *   drop                  free all that are kept
 *   memory                answers with private KiB
 *   rest                  sleep long enough for the profiler to learn what it met
 *
 * Commands given as arguments are run first; with "end" among them the program
 * ends there, to be counted by valgrind.
 */
#include <pthread.h>

#include "bench/measure.h"
#include "sampler/base/cc.h"

#define THREADS_MAX 64
#define CHOICES	    4096 /* sizes and slots, drawn once and gone round */
#define SLOTS	    512

static struct {
	uint32_t size, slot;
} choice[CHOICES];

static void draw_choices(void)
{
	for (int i = 0; i < CHOICES; i++) {
		uint64_t kind = random_below(1000);
		uint64_t most = kind < 700 ? 128 : kind < 950 ? 1024 : kind < 999 ? 16384 : 65536;

		choice[i].size = (uint32_t)(16 + random_below(most - 15));
		choice[i].slot = (uint32_t)random_below(SLOTS);
	}
}

/* The compiler must not know that nobody looks at the block. */
NOINLINE static void *get(size_t size)
{
	char *p = malloc(size);

	__asm__ volatile("" : "+r"(p) : : "memory");
	if (!p)
		abort();
	*p = 1;
	return p;
}

static void pairs(long calls)
{
	for (long i = 0; i < calls; i++)
		free(get(64));
}

static void mixed(long calls)
{
	void *block[SLOTS] = { NULL };

	for (long i = 0; i < calls; i++) {
		void **at = &block[choice[i % CHOICES].slot];

		free(*at);
		*at = get(choice[i % CHOICES].size);
	}
	for (int i = 0; i < SLOTS; i++)
		free(block[i]);
}

NOINLINE static void deep(int frames, long calls)
{
	if (frames > 1)
		deep(frames - 1, calls);
	else
		pairs(calls);
	__asm__ volatile("" : : : "memory"); /* a frame that stays */
}

/* ---- blocks that stay */

static void **kept;
static size_t kept_count;

static double keep(long count, size_t size)
{
	kept = realloc(kept, (kept_count + (size_t)count) * sizeof(*kept));
	if (!kept)
		abort();
	for (long i = 0; i < count; i++)
		kept[kept_count++] = get(size);
	return (double)kept_count;
}

static void holes(void)
{
	for (size_t i = 0; i < kept_count; i += 2) {
		free(kept[i]);
		kept[i] = NULL;
	}
}

static void drop(void)
{
	for (size_t i = 0; i < kept_count; i++)
		free(kept[i]);
	kept_count = 0;
}

/* ---- */

struct work {
	void (*fn)(long calls);
	long calls;
};

static void *run_work(void *arg)
{
	const struct work *w = arg;

	w->fn(w->calls);
	return NULL;
}

/* CPU time of the process for one call; one thread is the main one. */
static double run_threads(void (*fn)(long), int threads, long calls)
{
	struct work w = { fn, calls };
	pthread_t thread[THREADS_MAX];
	double start = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID);

	if (threads == 1) {
		fn(calls);
	} else {
		for (int i = 0; i < threads; i++)
			pthread_create(&thread[i], NULL, run_work, &w);
		for (int i = 0; i < threads; i++)
			pthread_join(thread[i], NULL);
	}
	return (clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / (double)(threads * calls);
}

static double run_deep(int frames, long calls)
{
	double start = clock_now_ns(CLOCK_THREAD_CPUTIME_ID);

	deep(frames - 2, calls); /* main, the command and the pairs have theirs */
	return (clock_now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / (double)calls;
}

static double private_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	double sum = 0;
	long kib;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_%*[^:]: %ld", &kib) == 1)
			sum += (double)kib;
	if (f)
		fclose(f);
	return sum;
}

static double run(const char *command)
{
	char what[16];
	long a = 1, b = 1;

	if (sscanf(command, "%15s %ld %ld", what, &a, &b) < 1)
		return NAN;
	if (strcmp(what, "pair") == 0)
		return run_threads(pairs, MIN((int)a, THREADS_MAX), b);
	if (strcmp(what, "mixed") == 0)
		return run_threads(mixed, MIN((int)a, THREADS_MAX), b);
	if (strcmp(what, "deep") == 0)
		return run_deep((int)a, b);
	if (strcmp(what, "keep") == 0)
		return keep(a, (size_t)b);
	if (strcmp(what, "memory") == 0)
		return private_kib();
	if (strcmp(what, "holes") == 0)
		holes();
	else if (strcmp(what, "drop") == 0)
		drop();
	else
		return NAN;
	return 0;
}

int main(int argc, char **argv)
{
	char line[256];

	draw_choices();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "end") == 0)
			return 0;
		run(argv[i]);
	}
	while (fgets(line, sizeof(line), stdin)) {
		printf("%.6g\n", run(line));
		fflush(stdout);
	}
	return 0;
}
