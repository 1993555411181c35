/* Stacks on their way to the listener, and who is woken for them. */
#include <check.h>
#include <stdlib.h>

#include "sampler/unwind/rows.h"
#include "test/unit/unwind/new_stack.h"

START_TEST(one_stack_wakes_nobody_and_the_second_does)
{
	struct site *first = meet_new_stack(), *second;

	ck_assert(!is_woken_within(0));
	second = meet_new_stack();
	ck_assert(is_woken_within(0));
	site_at_drain();
	ck_assert(is_known(first) && is_known(second));
}
END_TEST

START_TEST(after_a_drain_one_is_alone_again)
{
	meet_new_stack();
	site_at_drain();
	rows_release();
	meet_new_stack();
	ck_assert(!is_woken_within(0));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("site_at");
	Suite *s = suite_create("site_at");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, become_listener, NULL);
	tcase_add_test(t, one_stack_wakes_nobody_and_the_second_does);
	tcase_add_test(t, after_a_drain_one_is_alone_again);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
