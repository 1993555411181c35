/* Lines of /proc/PID/status, of which the first is anybody's. */
#include "sampler/base/status.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char status[] = "Name:\tUid:\t7 SigBlk:\t7\\nUid:\t7\n"
			     "Tgid:\t4711\n"
			     "Uid:\t1000\t0\t33\t44\n"
			     "Groups:\t\n"
			     "VmRSS:\t    2048 kB\n"
			     "SigBlk:\tfffffffe7ffbfeff\n"
			     "Seccomp:\t2\n"
			     "Seccomp_filters:\t12\n";

START_TEST(status__numbers_by_name)
{
	ck_assert_uint_eq(status_number(status, "Tgid", 10), 4711);
	ck_assert_uint_eq(status_number(status, "VmRSS", 10), 2048);
	ck_assert_uint_eq(status_number(status, "SigBlk", 16), 0xfffffffe7ffbfeff);
	ck_assert_uint_eq(status_number(status, "Seccomp", 10), 2);
	ck_assert_uint_eq(status_number(status, "Seccomp_filters", 10), 12);
	ck_assert_uint_eq(status_number(status, "Uid", 10), 1000);
}
END_TEST

START_TEST(status__lines_by_name)
{
	ck_assert(strncmp(status_line(status, "Uid"), "1000\t0\t33\t44\n", 13) == 0);
	ck_assert_int_eq(*status_line(status, "Groups"), '\n');
}
END_TEST

START_TEST(status__a_name_is_no_line)
{
	ck_assert_ptr_null(status_line(status, "Name"));
	ck_assert_ptr_null(status_line("Name:\tSigBlk:\t7\n", "SigBlk"));
	ck_assert_ptr_null(status_line("SigBlk:\t7\n", "SigBlk"));
}
END_TEST

START_TEST(status__what_is_not_there_is_0)
{
	ck_assert_uint_eq(status_number(status, "Sig", 10), 0);
	ck_assert_uint_eq(status_number(status, "CapEff", 16), 0);
	ck_assert_uint_eq(status_number("", "Uid", 10), 0);
	ck_assert_uint_eq(status_number("Name:\tx\nUid", "Uid", 10), 0);
	ck_assert_uint_eq(status_number("Name:\tx\nUid:", "Uid", 10), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("status");
	Suite *s = suite_create("status");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, status__numbers_by_name);
	tcase_add_test(t, status__lines_by_name);
	tcase_add_test(t, status__a_name_is_no_line);
	tcase_add_test(t, status__what_is_not_there_is_0);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
