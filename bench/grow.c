/*
 * A program that becomes as large as bench/growth.py wants it: told on stdin,
 * one command a line, each answered by a line.
 *
 *   threads N     N threads in all, asleep
 *   load PATH     dlopen
 *   burn MS       CPU time, on this thread
 *   stacks N      one block kept from each of N different stacks
 */
#include <dlfcn.h>
#include <pthread.h>

#include "bench/measure.h"
#include "sampler/base/cc.h"

#define STACK_BYTES 65536
#define CHOICES	    18 /* levels of a stack at which it may differ: 256 Ki of them */

static int threads = 1;

static void *sleep_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* How many there are then: a limit of the system may stop it. */
static int start_threads(int wanted)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (threads < wanted && pthread_create(&thread, &attr, sleep_for_ever, NULL) == 0)
		threads++;
	pthread_attr_destroy(&attr);
	return threads;
}

static void burn(double ms)
{
	double until = cpu_now_ns() + ms * 1e6;
	volatile uint64_t x = 1;

	while (cpu_now_ns() < until)
		for (int i = 0; i < 10000; i++)
			x = x * 3 + 1;
}

/* ---- many stacks: at each level one of two call sites */

NOINLINE static void *go_down(uint32_t path, int left)
{
	void *volatile p;

	if (left == 0) {
		p = malloc(32);
	} else if (path & 1) {
		p = go_down(path >> 1, left - 1);
		__asm__ volatile("nop" : : : "memory"); /* or the two calls would be made one */
	} else {
		p = go_down(path >> 1, left - 1);
	}
	return p;
}

/* Slowly enough for the listener: what is new to it, it has to learn. */
static int keep_from_stacks(int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++) {
		kept += go_down((uint32_t)i, CHOICES) != NULL;
		if (i % 512 == 511)
			usleep(2000);
	}
	return kept;
}

/* ---- */

static int run(const char *what, const char *argument)
{
	if (strcmp(what, "threads") == 0)
		return start_threads(atoi(argument));
	if (strcmp(what, "stacks") == 0)
		return keep_from_stacks(atoi(argument));
	if (strcmp(what, "load") == 0)
		return dlopen(argument, RTLD_NOW) != NULL;
	if (strcmp(what, "burn") == 0)
		burn(atof(argument));
	return 0;
}

int main(void)
{
	char line[4200], what[16], argument[4100];

	while (fgets(line, sizeof(line), stdin) &&
	       sscanf(line, "%15s %4099s", what, argument) == 2) {
		printf("%d\n", run(what, argument));
		fflush(stdout);
	}
	return 0;
}
