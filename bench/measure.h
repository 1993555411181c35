/*
 * What all benchmarks share: clocks, a median with its confidence, instruction
 * counts, and the one way in which a result is told.  measure.py is its twin.
 *
 * A result is one line on stdout and, when BENCH_RESULTS names a file, one JSON
 * object on a line there; table.py makes the table of those.
 *
 * Times are CPU time of the calling thread, taken in many short batches: other
 * programs on the machine then cost caches, but not their time slices.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NO_BUDGET NAN

/* The middle of many values, and between what it lies in 19 of 20 repetitions. */
struct spread {
	double mid, lo, hi;
	double best; /* the smallest value: least disturbed */
};

static inline double clock_now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static inline double cpu_now_ns(void)
{
	return clock_now_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* QUICK=1: a third of the rounds. */
static inline int rounds(int full)
{
	const char *quick = getenv("QUICK");

	return quick && *quick ? full / 3 : full;
}

static inline int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts `value`.  By ranks, so that no shape of noise is assumed. */
static inline struct spread spread_of(double *value, int count)
{
	int reach = (int)ceil(0.98 * sqrt(count));
	int lo = count / 2 - reach, hi = count / 2 + reach;

	qsort(value, (size_t)count, sizeof(*value), ascending);
	return (struct spread){ .mid = value[count / 2],
				.lo = value[lo < 0 ? 0 : lo],
				.hi = value[hi >= count ? count - 1 : hi],
				.best = value[0] };
}

static inline struct spread exact(double value)
{
	return (struct spread){ value, value, value, value };
}

/* Within budget, beyond it, or beyond it by no more than the noise. */
static inline const char *verdict_of(struct spread s, double budget)
{
	if (isnan(budget))
		return "-";
	if (s.mid <= budget)
		return "pass";
	return s.lo > budget ? "short" : "unclear";
}

static inline void report_json(FILE *f, const char *name, struct spread s, const char *unit,
			       double budget, const char *note)
{
	fprintf(f, "{\"name\": \"%s\", \"value\": %.6g, \"lo\": %.6g, \"hi\": %.6g, ", name, s.mid,
		s.lo, s.hi);
	fprintf(f, "\"unit\": \"%s\", ", unit);
	if (!isnan(budget))
		fprintf(f, "\"budget\": %.6g, ", budget);
	fprintf(f, "\"verdict\": \"%s\", \"note\": \"%s\"}\n", verdict_of(s, budget), note);
}

/* `name` and `note` are plain text without quotes. */
static inline void report(const char *name, struct spread s, const char *unit, double budget,
			  const char *note)
{
	const char *path = getenv("BENCH_RESULTS");
	FILE *f = path ? fopen(path, "a") : NULL;

	printf("%-44s %10.4g %-12s [%.4g .. %.4g] %s %s\n", name, s.mid, unit, s.lo, s.hi,
	       verdict_of(s, budget), note);
	fflush(stdout);
	if (f) {
		report_json(f, name, s, unit, budget, note);
		fclose(f);
	}
}

/* ---- random choices that are the same in every run */

static inline uint64_t random_next(void)
{
	static uint64_t x = 0x2545f4914f6cdd1d;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return x * 0x2545f4914f6cdd1d >> 11;
}

static inline uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

/* ---- times */

#define BATCHES_MAX 4096

/* ns for one call: `fn(arg)` makes `calls` of them, `before` (may be NULL) is not timed. */
static inline struct spread time_batches(void (*fn)(void *), void (*before)(void *), void *arg,
					 int batches, double calls)
{
	static double ns[BATCHES_MAX];
	double start;

	for (int i = 0; i < batches; i++) {
		if (before)
			before(arg);
		start = cpu_now_ns();
		fn(arg);
		ns[i] = (cpu_now_ns() - start) / calls;
	}
	return spread_of(ns, batches);
}

/* ---- instructions, which repeat exactly */

/* From callgrind's "==123== Collected : 4567". */
static inline double read_count(FILE *f)
{
	char line[512];
	double count = NAN;

	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "Collected : ");

		if (at)
			count = strtod(at + strlen("Collected : "), NULL);
	}
	return count;
}

/* Instructions of this program when run as `count WHAT DEPTH CALLS`; NAN without valgrind. */
static inline double count_run(const char *what, int depth, int calls)
{
	char self[512], command[768];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	double count = NAN;
	FILE *f;

	self[len > 0 ? len : 0] = '\0';
	snprintf(
		command, sizeof(command),
		"exec valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' count %s %d %d "
		"2>&1 </dev/null",
		self, what, depth, calls);
	f = popen(command, "r");
	if (f) {
		count = read_count(f);
		pclose(f);
	}
	return count;
}

/* Instructions of one call: from the difference of two runs, so that set-up cancels. */
static inline double instructions(const char *what, int depth, int calls)
{
	double one = count_run(what, depth, calls), three = count_run(what, depth, 3 * calls);

	return (three - one) / (2.0 * calls);
}

static inline void report_instructions(const char *name, const char *what, int depth, int calls,
				       double budget, const char *note)
{
	double n = instructions(what, depth, calls);

	if (isnan(n))
		fprintf(stderr, "bench: %s: not measured, valgrind did not count\n", name);
	else
		report(name, exact(n), "instructions", budget, note);
}

#endif
