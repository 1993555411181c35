/* What /proc says about threads, whatever these are called. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sampler/process/tasks.h"

/* The leak sanitizer wants /proc, which is not in the root directory that a test changes to. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

START_TEST(tasks__a_thread_s_name_is_no_line_of_its_status)
{
	static const char *const names[] = { "SigBlk:ffffffff", "SigBlk:0", "a\nSigBlk:fffff",
					     "Seccomp_filters:9" };
	sigset_t usr1;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		prctl(PR_SET_NAME, names[i]);
		ck_assert(!task_blocks_signal(gettid(), SIGUSR1));
	}
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		prctl(PR_SET_NAME, names[i]);
		ck_assert(task_blocks_signal(gettid(), SIGUSR1));
		ck_assert(!task_blocks_signal(gettid(), SIGUSR2));
	}
}
END_TEST

static void count(int tid, void *found)
{
	*(int *)found += tid == gettid();
}

/* The directory is opened once, and then needs no path. */
START_TEST(tasks__are_listed_after_chroot)
{
	int found = 0;

	tasks_new_descriptors();
	if (chdir("/tmp") != 0 || chroot("/tmp") != 0)
		return; /* not root */
	ck_assert(tasks_each(count, &found));
	ck_assert(tasks_each(count, &found));
	ck_assert_int_eq(found, 2);
	ck_assert(!task_blocks_signal(gettid(), SIGUSR1));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("tasks");
	Suite *s = suite_create("tasks");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, tasks__a_thread_s_name_is_no_line_of_its_status);
	tcase_add_test(t, tasks__are_listed_after_chroot);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
