/* When the listener looks at threads that keep a change of ids waiting; the clock is the test's. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "sampler/cpu/reopen.h"

#define MS 1000000LL

#define SOON   (2 * MS)
#define SELDOM (100 * MS)

START_TEST(reopen__without_a_call_nobody_looks)
{
	bool began;

	ck_assert_int_eq(reopen_do_due(1), INT64_MAX);
	began = reopen_begin();
	ck_assert_int_eq(reopen_do_due(1), 1 + SOON);
	reopen_end(began);
	ck_assert_int_eq(reopen_do_due(2), INT64_MAX);
}
END_TEST

START_TEST(reopen__a_call_that_stands_is_looked_at_again)
{
	bool began = reopen_begin();

	reopen_do_due(0);
	ck_assert_int_eq(reopen_do_due(MS), SOON);
	ck_assert_int_eq(reopen_do_due(SOON), SOON + SELDOM);
	ck_assert_int_eq(reopen_do_due(3 * SOON), SOON + SELDOM);
	ck_assert_int_eq(reopen_do_due(SOON + SELDOM), SOON + 2 * SELDOM);
	reopen_end(began);
}
END_TEST

/* A thread may have left a handler once more, or the listener saw no moment between two. */
START_TEST(reopen__the_next_call_does_not_wait_longer_than_the_first)
{
	bool first = reopen_begin();

	reopen_do_due(0);
	reopen_do_due(SOON);
	reopen_end(first);
	first = reopen_begin();
	ck_assert_int_eq(reopen_do_due(3 * MS), 3 * MS + SOON);
	reopen_end(first);
}
END_TEST

START_TEST(reopen__nor_does_one_that_stood_behind_it)
{
	bool first = reopen_begin(), second = reopen_begin();

	reopen_do_due(0);
	ck_assert_int_eq(reopen_do_due(SOON), SOON + SELDOM);
	reopen_end(first);
	ck_assert_int_eq(reopen_do_due(3 * MS), 3 * MS + SOON);
	reopen_end(second);
	ck_assert_int_eq(reopen_do_due(4 * MS), INT64_MAX);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("reopen");
	Suite *s = suite_create("reopen");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, reopen__without_a_call_nobody_looks);
	tcase_add_test(t, reopen__a_call_that_stands_is_looked_at_again);
	tcase_add_test(t, reopen__the_next_call_does_not_wait_longer_than_the_first);
	tcase_add_test(t, reopen__nor_does_one_that_stood_behind_it);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
