/* A thread that libc does not know of: it has what it needs, and nobody else is disturbed. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "sampler/arch/arch.h"
#include "sampler/base/sys.h"
#include "shim/life/own_thread.h"

static __thread int number = 7; /* initialised: not among what such a thread may use */
static __thread int zero;

static struct seen {
	void *arg;
	int *errno_at, *zero_at;
	int zero, tid, pid;
	uint64_t mask, tp;
} seen;

static int look(void *arg)
{
	seen.arg = arg;
	seen.errno_at = &errno;
	seen.zero_at = &zero;
	seen.zero = zero;
	seen.tid = sys_gettid();
	seen.pid = sys_getpid();
	seen.tp = thread_pointer();
	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&seen.mask, sizeof(seen.mask));
	errno = EDOM;
	zero = 5;
	return 0;
}

static volatile bool go_on;

static int wait_for_go(void *unused)
{
	(void)unused;
	while (!go_on)
		sys_call3(SYS_sched_yield, 0, 0, 0);
	return 0;
}

static int64_t in_seconds(int n)
{
	return sys_now_ns() + n * NS_PER_SECOND;
}

static void run(struct own_thread *t, int (*fn)(void *), void *arg)
{
	ck_assert(own_thread_start(t, fn, arg));
	ck_assert(own_thread_join(t, in_seconds(10)));
	ck_assert(!own_thread_is_alive(t));
}

START_TEST(own_thread__has_variables_and_errno_of_its_own)
{
	struct own_thread t = { 0 };

	errno = ENOENT;
	zero = 3;
	run(&t, look, &t);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(zero, 3);
	ck_assert_ptr_eq(seen.arg, &t);
	ck_assert_ptr_ne(seen.errno_at, &errno);
	ck_assert_int_eq(seen.zero, 0);
	ck_assert(seen.tp != thread_pointer());
	ck_assert_int_eq((char *)seen.zero_at - (char *)seen.tp,
			 (char *)&zero - (char *)thread_pointer());
}
END_TEST

START_TEST(own_thread__the_next_finds_nothing_of_the_last)
{
	struct own_thread t = { 0 };
	void *memory;

	run(&t, look, NULL);
	memory = t.memory;
	run(&t, look, NULL);
	ck_assert_ptr_eq(t.memory, memory);
	ck_assert_int_eq(seen.zero, 0);
}
END_TEST

START_TEST(own_thread__blocks_all_signals_and_leaves_the_caller_s_mask)
{
	struct own_thread t = { 0 };
	sigset_t usr2, now;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	sigprocmask(SIG_SETMASK, &usr2, NULL);
	run(&t, look, NULL);
	sigprocmask(SIG_BLOCK, NULL, &now);
	ck_assert(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
	/* SIGKILL and SIGSTOP are never blocked */
	ck_assert_uint_eq(seen.mask, ~0ULL & ~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1)));
}
END_TEST

START_TEST(own_thread__is_a_thread_of_this_process_that_libc_does_not_know)
{
	struct own_thread t = { 0 };

	run(&t, look, NULL);
	ck_assert_int_eq(seen.pid, getpid());
	ck_assert_int_ne(seen.tid, sys_gettid());
	ck_assert(__libc_single_threaded);
	ck_assert_int_eq(number, 7);
}
END_TEST

START_TEST(own_thread__is_joined_when_the_kernel_knows_it_no_more)
{
	struct own_thread t = { 0 };
	int tid;

	go_on = false;
	ck_assert(own_thread_start(&t, wait_for_go, NULL));
	tid = t.tid;
	ck_assert(own_thread_is_alive(&t));
	ck_assert(!own_thread_join(&t, sys_now_ns() + 10 * NS_PER_MS));
	go_on = true;
	ck_assert(own_thread_join(&t, in_seconds(10)));
	ck_assert_int_eq(sys_call3(SYS_tgkill, getpid(), tid, 0), -ESRCH);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("own_thread");
	TCase *t = tcase_create("own_thread");
	SRunner *r;
	int failed;

	tcase_add_test(t, own_thread__has_variables_and_errno_of_its_own);
	tcase_add_test(t, own_thread__the_next_finds_nothing_of_the_last);
	tcase_add_test(t, own_thread__blocks_all_signals_and_leaves_the_caller_s_mask);
	tcase_add_test(t, own_thread__is_a_thread_of_this_process_that_libc_does_not_know);
	tcase_add_test(t, own_thread__is_joined_when_the_kernel_knows_it_no_more);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
