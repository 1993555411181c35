/* What a process is to us, in itself and in what it forks. */
#include <check.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/process_state.h"

static int in_child(pid_t pid, int (*fn)(void))
{
	int status;

	if (pid == 0)
		_exit(fn());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static int tell_state(void)
{
	return (int)process_state();
}

static int enter_twice(void)
{
	return process_moves(PROCESS_FIRST_HOOK) && !process_is_in_order() &&
	       !process_moves(PROCESS_FIRST_HOOK) && process_moves(PROCESS_IN_ORDER) &&
	       process_is_in_order() && process_records_heap() && !process_is_ours();
}

static int become_worker_then_ours(void)
{
	process_moves(PROCESS_FIRST_HOOK);
	process_moves(PROCESS_IN_ORDER);
	return process_moves(PROCESS_TEN_SECONDS) && !process_records_heap() &&
	       !process_moves(PROCESS_LISTENER_BACK) && process_moves(PROCESS_PORT_WON) &&
	       process_is_ours();
}

static void init(void)
{
	ck_assert(process_is_ours()); /* before the constructor too */
	ck_assert_int_eq(process_state_init(), 0);
}

START_TEST(process_state__a_forked_child_knows_itself)
{
	init();
	ck_assert_int_eq(in_child(fork(), tell_state), PROCESS_FORKED);
	ck_assert_int_eq(in_child((pid_t)syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L), tell_state),
			 PROCESS_FORKED);
	ck_assert(process_is_ours());
}
END_TEST

START_TEST(process_state__one_hook_alone_puts_a_child_in_order)
{
	init();
	ck_assert(in_child(fork(), enter_twice));
}
END_TEST

START_TEST(process_state__a_worker_records_nothing_until_it_has_the_port)
{
	init();
	ck_assert(in_child(fork(), become_worker_then_ours));
}
END_TEST

START_TEST(process_state__a_pause_ends_where_it_began)
{
	init();
	ck_assert(!process_moves(PROCESS_LISTENER_BACK));
	ck_assert(process_moves(PROCESS_LISTENER_ENDED));
	ck_assert(!process_is_ours() && process_is_in_order() && process_records_heap());
	ck_assert(!process_moves(PROCESS_PORT_WON));
	ck_assert(process_moves(PROCESS_LISTENER_BACK));
	ck_assert(process_is_ours());
}
END_TEST

START_TEST(process_state__a_vfork_child_borrows_it)
{
	volatile int borrowed = 0;
	pid_t pid;

	init();
	ck_assert(!process_is_borrowed());
	pid = vfork();
	if (pid == 0) {
		borrowed = process_is_borrowed() && process_is_ours();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	ck_assert(borrowed);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("process_state");
	TCase *t = tcase_create("process_state");
	SRunner *r;
	int failed;

	tcase_add_test(t, process_state__a_forked_child_knows_itself);
	tcase_add_test(t, process_state__one_hook_alone_puts_a_child_in_order);
	tcase_add_test(t, process_state__a_worker_records_nothing_until_it_has_the_port);
	tcase_add_test(t, process_state__a_pause_ends_where_it_began);
	tcase_add_test(t, process_state__a_vfork_child_borrows_it);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
