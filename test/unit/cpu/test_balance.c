/* What ticks saw of a group of threads against what their clocks say. */
#include <check.h>
#include <stdlib.h>

#include "sampler/cpu/balance.h"

#define MS   1000000LL
#define DRAW (10 * MS)

static void expect(struct cpu_group g, int64_t ticks, int64_t looks, int64_t missing)
{
	struct balance b = balance_of(&g, DRAW);

	ck_assert_int_eq(b.ticks, ticks * MS);
	ck_assert_int_eq(b.looks, looks * MS);
	ck_assert_int_eq(b.missing, missing * MS);
	ck_assert_int_eq(b.ticks + b.looks + b.missing, g.used);
}

START_TEST(balance__what_chance_left_out_goes_to_the_ticks)
{
	expect((struct cpu_group){ .used = 1007 * MS, .sampled = 1000 * MS }, 1007, 0, 0);
	expect((struct cpu_group){ .used = 995 * MS, .sampled = 1000 * MS }, 995, 0, 0);
	expect((struct cpu_group){ .used = 3 * MS, .sampled = 10 * MS }, 3, 0, 0);
	expect((struct cpu_group){ .used = 1000 * MS, .sampled = 900 * MS, .looked = 50 * MS },
	       1000, 0, 0);
}
END_TEST

/* Of threads without a timer for a while: 1000 ms are 100 draws, 20 less may be chance. */
START_TEST(balance__more_than_chance_goes_to_where_threads_slept)
{
	expect((struct cpu_group){ .used = 1000 * MS, .sampled = 250 * MS, .looked = 9 * MS }, 1000,
	       0, 0);
	expect((struct cpu_group){ .used = 1000 * MS, .sampled = 240 * MS, .looked = 9 * MS }, 240,
	       760, 0);
	expect((struct cpu_group){ .used = 1000 * MS,
				   .sampled = 790 * MS,
				   .looked = 9 * MS,
				   .is_blind = true },
	       790, 210, 0);
	expect((struct cpu_group){ .used = 60 * MS, .looked = 60 * MS }, 0, 60, 0);
	expect((struct cpu_group){ .used = 1 * MS, .looked = 1 * MS }, 0, 1, 0);
}
END_TEST

START_TEST(balance__lost_ticks_are_ticks)
{
	expect((struct cpu_group){ .used = 1000 * MS, .sampled = 300 * MS, .lost = 690 * MS }, 1000,
	       0, 0);
	expect((struct cpu_group){ .used = 1000 * MS, .lost = 1000 * MS }, 1000, 0, 0);
}
END_TEST

START_TEST(balance__without_a_look_a_thread_ran_where_ticks_meet_it)
{
	expect((struct cpu_group){ .used = 1000 * MS, .sampled = 500 * MS }, 1000, 0, 0);
}
END_TEST

START_TEST(balance__without_a_timer_nothing_stands_for_the_rest)
{
	expect((struct cpu_group){ .used = 1000 * MS, .sampled = 500 * MS, .is_blind = true }, 500,
	       0, 500);
	expect((struct cpu_group){ .used = 1000 * MS }, 0, 0, 1000);
}
END_TEST

START_TEST(balance__threads_found_late_are_drawn_from_there_on)
{
	expect(
		(struct cpu_group){
			.used = 1000 * MS, .sampled = 200 * MS, .looked = MS, .is_late = true },
		1000, 0, 0);
	expect((struct cpu_group){ .used = 1000 * MS, .is_late = true }, 0, 0, 1000);
}
END_TEST

/* Processes: the same as without a look, but for what is more than three times the root. */
START_TEST(balance__of_whom_nobody_looks_at_chance_is_believed_longer)
{
	expect((struct cpu_group){ .used = 160 * MS, .sampled = 40 * MS, .is_unseen = true }, 160,
	       0, 0);
	expect((struct cpu_group){ .used = 150 * MS, .sampled = 34 * MS, .is_unseen = true }, 150,
	       0, 0);
	expect((struct cpu_group){ .used = 1000 * MS, .sampled = 240 * MS, .is_unseen = true }, 240,
	       0, 760);
	expect((struct cpu_group){ .used = 1000 * MS, .is_unseen = true }, 0, 0, 1000);
}
END_TEST

START_TEST(balance__small_is_less_than_four_ticks)
{
	ck_assert(balance_is_small(4 * DRAW - 1, DRAW));
	ck_assert(!balance_is_small(4 * DRAW, DRAW));
}
END_TEST

START_TEST(balance__parts_are_scaled)
{
	ck_assert_int_eq(balance_scale(30, 60, 40), 45);
	ck_assert_int_eq(balance_scale(0, 60, 0), 0);
	ck_assert_int_eq(balance_scale(INT64_MAX / 2, INT64_MAX, INT64_MAX), INT64_MAX / 2);
}
END_TEST

START_TEST(balance__what_has_time_has_a_sample)
{
	ck_assert_int_eq(balance_samples(0, DRAW), 0);
	ck_assert_int_eq(balance_samples(1, DRAW), 1);
	ck_assert_int_eq(balance_samples(14 * MS, DRAW), 1);
	ck_assert_int_eq(balance_samples(15 * MS, DRAW), 2);
}
END_TEST

START_TEST(balance__years_do_not_overflow)
{
	int64_t year = 365LL * 86400 * 1000;

	expect((struct cpu_group){ .used = year * MS, .sampled = year * MS / 5, .looked = 1 },
	       year / 5, year - year / 5, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("balance");
	Suite *s = suite_create("balance");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, balance__what_chance_left_out_goes_to_the_ticks);
	tcase_add_test(t, balance__more_than_chance_goes_to_where_threads_slept);
	tcase_add_test(t, balance__lost_ticks_are_ticks);
	tcase_add_test(t, balance__without_a_look_a_thread_ran_where_ticks_meet_it);
	tcase_add_test(t, balance__without_a_timer_nothing_stands_for_the_rest);
	tcase_add_test(t, balance__threads_found_late_are_drawn_from_there_on);
	tcase_add_test(t, balance__of_whom_nobody_looks_at_chance_is_believed_longer);
	tcase_add_test(t, balance__small_is_less_than_four_ticks);
	tcase_add_test(t, balance__parts_are_scaled);
	tcase_add_test(t, balance__what_has_time_has_a_sample);
	tcase_add_test(t, balance__years_do_not_overflow);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
