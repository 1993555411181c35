/* Who unloads code waits for the stacks that were captured in it. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "sampler/base/sys.h"
#include "sampler/cpu/unload.h"
#include "test/unit/unwind/new_stack.h"

/* The listener's. */
static void pass(void)
{
	unload_pass_begin();
	site_at_drain();
	unload_pass_end();
}

START_TEST(nothing_on_its_way_is_not_waited_for)
{
	unload_begin();
	unload_end();
	ck_assert(!is_woken_within(0));
	ck_assert_uint_eq(counter_get(COUNTER_DLCLOSE_WAITS_TIMED_OUT), 0);
}
END_TEST

START_TEST(without_a_listener_nobody_waits)
{
	meet_new_stack();
	wake_after_fork();
	unload_begin();
	unload_end();
	ck_assert_uint_eq(counter_get(COUNTER_DLCLOSE_WAITS_TIMED_OUT), 0);
}
END_TEST

START_TEST(a_listener_that_does_not_come_is_waited_for_2_ms_and_counted)
{
	int64_t before = sys_now_ns();

	meet_new_stack();
	unload_begin();
	unload_end();
	ck_assert_int_ge(sys_now_ns() - before, 2 * NS_PER_MS);
	ck_assert(is_woken_within(0));
	ck_assert_uint_eq(counter_get(COUNTER_DLCLOSE_WAITS_TIMED_OUT), 1);
}
END_TEST

/* Its time limit may pass before we drain, and then it counts; but it never returns early. */
static void *unload(void *first)
{
	unload_begin();
	unload_end();
	ck_assert(is_known(first) || counter_get(COUNTER_DLCLOSE_WAITS_TIMED_OUT) == 1);
	return NULL;
}

START_TEST(who_unloads_waits_until_stacks_are_followed)
{
	struct site *first = meet_new_stack();
	pthread_t thread;

	pthread_create(&thread, NULL, unload, first);
	ck_assert(is_woken_within(-1));
	pass();
	pthread_join(thread, NULL);
	ck_assert(is_known(first));
}
END_TEST

START_TEST(a_pass_that_is_under_way_is_not_enough)
{
	struct site *first = meet_new_stack();
	pthread_t thread;

	unload_pass_begin();
	pthread_create(&thread, NULL, unload, first);
	ck_assert(is_woken_within(-1));
	unload_pass_end();
	pass();
	pthread_join(thread, NULL);
}
END_TEST

/* A spinning thread would keep a listener on the same processor from ending its pass. */
START_TEST(while_a_pass_is_under_way_it_is_slept)
{
	int64_t before;

	meet_new_stack();
	before = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	unload_pass_begin();
	unload_begin();
	unload_end();
	ck_assert_int_lt(sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before, NS_PER_MS);
	ck_assert_uint_eq(counter_get(COUNTER_DLCLOSE_WAITS_TIMED_OUT), 1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("unload");
	Suite *s = suite_create("unload");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, become_listener, NULL);
	tcase_add_test(t, nothing_on_its_way_is_not_waited_for);
	tcase_add_test(t, without_a_listener_nobody_waits);
	tcase_add_test(t, a_listener_that_does_not_come_is_waited_for_2_ms_and_counted);
	tcase_add_test(t, who_unloads_waits_until_stacks_are_followed);
	tcase_add_test(t, a_pass_that_is_under_way_is_not_enough);
	tcase_add_test(t, while_a_pass_is_under_way_it_is_slept);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
