/* What is left to a program with a limit on its address space. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/sys_map.h"

#define MIB (1UL << 20)

static void limit_to(size_t more)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;
	struct rlimit limit;

	if (!f || fscanf(f, "%lu", &pages) != 1)
		_exit(99);
	fclose(f);
	limit.rlim_cur = limit.rlim_max = pages * (size_t)sysconf(_SC_PAGESIZE) + more;
	setrlimit(RLIMIT_AS, &limit);
}

/* In a process of its own with so much more to be had: 1 for each kind that is given a MiB. */
static int given(size_t more)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		limit_to(more);
		_exit((sys_map(MIB) != NULL) + 2 * (sys_map_whole_limit(MIB) != NULL));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(test_sys_map__leaves_the_program_8_mib_of_its_limit)
{
	ck_assert_int_eq(given(4 * MIB), 2);
	ck_assert_int_eq(given(8 * MIB), 2);
	ck_assert_int_eq(given(12 * MIB), 3);
	ck_assert_int_eq(given(MIB / 2), 0);
}
END_TEST

START_TEST(test_sys_map__room_is_what_the_limit_leaves)
{
	int status;

	ck_assert(sys_has_room(SIZE_MAX / 2));
	if (fork() == 0) {
		limit_to(4 * MIB);
		_exit(sys_has_room(2 * MIB) && !sys_has_room(5 * MIB) ? 0 : 1);
	}
	wait(&status);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("limit");
	Suite *s = suite_create("sys_map");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, test_sys_map__leaves_the_program_8_mib_of_its_limit);
	tcase_add_test(t, test_sys_map__room_is_what_the_limit_leaves);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
