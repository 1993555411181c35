/*
 * A program that knows where its CPU time went: four threads, unevenly busy,
 * each in functions of its own.  Waits for a line on stdin, burns for SECONDS,
 * prints one line "function ns" for each, then waits for the end of stdin.
 *
 * usage: truth SECONDS
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sampler/base/cc.h"

/*
 * Busy for about `burst_us` in one function after the other, then asleep for
 * `pause_us`.  Each burst has another length, from half to one and a half of
 * it, so that nothing here keeps step with a sampler's period.
 */
struct plan {
	int function[2];
	long burst_us[2];
	long pause_us;
};

static const struct plan plans[] = {
	{ { 0, 1 }, { 7000, 3000 }, 0 },
	{ { 2, 3 }, { 2500, 1500 }, 4000 },
	{ { 4, 5 }, { 900, 1100 }, 6000 },
	{ { 6, 7 }, { 300, 200 }, 4500 },
};

#define THREADS	  ARRAY_SIZE(plans)
#define FUNCTIONS (2 * THREADS)

static double spent_ns[FUNCTIONS];
static double ends_at_ns;

static double now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Not inlined, and each different, so that none is folded into another. */
#define BURN(n)                                                                                    \
	NOINLINE static void burn_##n(double until_ns)                                             \
	{                                                                                          \
		volatile uint64_t x = n;                                                           \
                                                                                                   \
		while (now_ns(CLOCK_THREAD_CPUTIME_ID) < until_ns)                                 \
			for (int i = 0; i < 20000; i++)                                            \
				x = x * 3 + n;                                                     \
	}

BURN(0)
BURN(1)
BURN(2)
BURN(3)
BURN(4)
BURN(5)
BURN(6)
BURN(7)

static void (*const burns[])(double) = { burn_0, burn_1, burn_2, burn_3,
					 burn_4, burn_5, burn_6, burn_7 };

static double burst_ns(long us, unsigned *seed)
{
	return (double)us * 1e3 * (0.5 + (double)rand_r(seed) / RAND_MAX);
}

static void *follow(void *arg)
{
	const struct plan *p = arg;
	const struct timespec pause = { .tv_nsec = p->pause_us * 1000 };
	unsigned seed = (unsigned)(p - plans);

	while (now_ns(CLOCK_MONOTONIC) < ends_at_ns) {
		for (int i = 0; i < 2; i++) {
			double start = now_ns(CLOCK_THREAD_CPUTIME_ID);

			burns[p->function[i]](start + burst_ns(p->burst_us[i], &seed));
			spent_ns[p->function[i]] += now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
		}
		if (p->pause_us)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];

	getchar();
	ends_at_ns = now_ns(CLOCK_MONOTONIC) + (argc > 1 ? atof(argv[1]) : 1) * 1e9;
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, follow, (void *)(uintptr_t)&plans[i]);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; i < FUNCTIONS; i++)
		printf("burn_%zu %.0f\n", i, spent_ns[i]);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
