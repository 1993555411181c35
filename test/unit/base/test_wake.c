/* The listener's wake-up: one at a time, never lost for long, nobody's but ours. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"

#define CANCEL_SIGNAL 32 /* libc's; what wake() sends */

static int fd;

static void *nothing(void *unused)
{
	return unused;
}

/* The first pthread_create of a process unblocks libc's own signals in its caller. */
static void setup(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, nothing, NULL);
	pthread_join(thread, NULL);
	fd = wake_open();
	ck_assert_int_ge(fd, 0);
}

static void teardown(void)
{
	wake_close(fd);
}

static bool is_readable(int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* As a program does that ignores every signal behind libc's back: pending ones are discarded. */
static void discard_pending(void)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} act = { .handler = (void *)SIG_IGN };

	ck_assert_int_eq(syscall(SYS_rt_sigaction, CANCEL_SIGNAL, &act, NULL, 8UL), 0);
}

START_TEST(wake__makes_the_descriptor_readable_until_it_is_cleared)
{
	ck_assert(!is_readable(0));
	ck_assert(wake());
	ck_assert(wake());
	ck_assert(is_readable(0));
	wake_clear(fd);
	ck_assert(!is_readable(0));
	ck_assert(wake());
	ck_assert(is_readable(0));
}
END_TEST

START_TEST(wake__one_that_was_discarded_is_sent_again)
{
	ck_assert(wake());
	discard_pending();
	ck_assert(!is_readable(0));
	for (int i = 0; !is_readable(1); i++) {
		ck_assert(wake());
		ck_assert_int_lt(i, 5000);
	}
}
END_TEST

/* Blocked by all and pending for the process: its own affair. */
START_TEST(wake__leaves_every_signal_of_the_process_alone)
{
	sigset_t all, pending;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (int sig = 1; sig < 65; sig++) {
		if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33)
			kill(getpid(), sig);
	}
	ck_assert(!is_readable(0));
	ck_assert(wake());
	wake_clear(fd);
	ck_assert(!is_readable(0));
	sigpending(&pending);
	for (int sig = 1; sig < 65; sig++) {
		/* to continue takes back what was to stop, and the other way round */
		if (sig != SIGKILL && (sig < SIGCONT || sig > SIGTTOU) && sig != 32 && sig != 33)
			ck_assert_msg(sigismember(&pending, sig) == 1, "signal %d is gone", sig);
	}
}
END_TEST

START_TEST(wake__nobody_is_there_once_it_is_closed)
{
	ck_assert(wake());
	wake_close(fd);
	ck_assert(!wake());
	fd = wake_open();
	ck_assert(!is_readable(0));
	ck_assert(wake());
	ck_assert(is_readable(0));
}
END_TEST

START_TEST(wake__says_when_the_kernel_has_no_room_for_it)
{
	struct rlimit before, none;

	getrlimit(RLIMIT_SIGPENDING, &before);
	none = (struct rlimit){ 0, before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	ck_assert(!wake());
	ck_assert_uint_eq(counter_get(COUNTER_WAKES_REFUSED), 1);
	wake_close(fd);
	fd = wake_open();
	ck_assert_int_lt(fd, 0);
	ck_assert(!wake());
	/* check asks by a timer which clock there is, and would measure by another one now */
	setrlimit(RLIMIT_SIGPENDING, &before);
}
END_TEST

/* ---- threads that say something and wake, and one that looks */

#define THREADS 4
#define SAYS	20000

static atomic_int said, quit;

static void *speaker(void *unused)
{
	for (int i = 0; i < SAYS; i++) {
		atomic_fetch_add_explicit(&said, 1, memory_order_relaxed);
		if (!wake())
			abort();
	}
	atomic_fetch_add(&quit, 1);
	return unused;
}

START_TEST(wake__whatever_was_said_before_is_seen_after_it)
{
	pthread_t thread[THREADS];
	int seen = 0;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, speaker, NULL);
	while (seen < THREADS * SAYS) {
		ck_assert_msg(is_readable(20000), "asleep with %d of %d seen", seen, (int)said);
		wake_clear(fd);
		seen = atomic_load_explicit(&said, memory_order_relaxed);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("wake");
	Suite *s = suite_create("wake");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, wake__makes_the_descriptor_readable_until_it_is_cleared);
	tcase_add_test(t, wake__one_that_was_discarded_is_sent_again);
	tcase_add_test(t, wake__leaves_every_signal_of_the_process_alone);
	tcase_add_test(t, wake__nobody_is_there_once_it_is_closed);
	tcase_add_test(t, wake__says_when_the_kernel_has_no_room_for_it);
	tcase_add_test(t, wake__whatever_was_said_before_is_seen_after_it);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
