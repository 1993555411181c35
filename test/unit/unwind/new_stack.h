/* A call from a stack that nobody has met, and whether its listener was woken. */
#ifndef TEST_NEW_STACK_H
#define TEST_NEW_STACK_H

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/wake.h"
#include "sampler/process/modules.h"
#include "sampler/process/own_stack.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/hook_walk.h"
#include "sampler/unwind/site_at.h"

SITE_TABLE(table, 32UL << 20, COUNTER_HEAP_STACK_TABLE_FULL, COUNTER_HEAP_STACKS_UNKNOWN);

static int wake_fd;
static volatile long keep_frame;

static inline void *end_at_once(void *unused)
{
	return unused;
}

/*
 * The test's own thread is the listener: signals are blocked, as there.  The first
 * pthread_create of a process, which unblocks libc's own, must come before.
 */
static void become_listener(void)
{
	sigset_t all;
	pthread_t first;

	pthread_create(&first, NULL, end_at_once, NULL);
	pthread_join(first, NULL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	own_stack_set_main(program_invocation_name); /* near the top, as argv is */
	modules_init();
	code_refresh();
	wake_fd = wake_open();
	ck_assert_int_ge(wake_fd, 0);
}

/* No row is known: it is left to the listener. */
NOINLINE static struct site *meet_new_stack(void)
{
	struct site *s = site_at(&table, 0, &CALLER());

	keep_frame++;
	return s;
}

static inline bool is_woken_within(int ms)
{
	struct pollfd p = { wake_fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

static inline bool is_known(struct site *s)
{
	return atomic_load(&s->resolved) != NULL;
}

#endif
