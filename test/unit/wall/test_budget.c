/* What looks may cost. */
#include <check.h>
#include <stdlib.h>

#include "sampler/base/sys.h"
#include "sampler/wall/budget.h"

static struct budget budget;
static int64_t now, used;

static void setup(void)
{
	now = NS_PER_SECOND;
	used = 0;
	budget_begin(&budget, now);
}

/* So many seconds of sweeps at `hz` over threads that cost `cost_ns` each. */
static void sweep_for(int seconds, int hz, uint32_t threads, int64_t cost_ns, uint32_t sharers)
{
	for (int i = 0; i < seconds * hz; i++) {
		int64_t ns;
		uint32_t part, looks;

		now += NS_PER_SECOND / hz;
		part = budget_part(&budget, now, threads, sharers);
		looks = (uint32_t)((uint64_t)threads * part / BUDGET_ALL);
		ns = looks * cost_ns;
		used += ns;
		if (part)
			budget_used(&budget, ns, looks);
	}
}

START_TEST(budget__few_threads_are_all_looked_at)
{
	sweep_for(1, 20, 20, 15000, 1);
	ck_assert_int_eq(budget_mean_part(&budget), 100);
}
END_TEST

START_TEST(budget__is_kept_however_many_threads_there_are)
{
	sweep_for(100, 20, 10000, 15000, 1);
	ck_assert_int_le(used, 100 * NS_PER_SECOND / 100 + 10 * NS_PER_MS);
	ck_assert_int_ge(used, 90 * NS_PER_SECOND / 100); /* and used */
	ck_assert_int_lt(budget_mean_part(&budget), 5);
}
END_TEST

START_TEST(budget__is_shared_by_those_who_run)
{
	sweep_for(100, 20, 10000, 15000, 4);
	ck_assert_int_le(used, 25 * NS_PER_SECOND / 100 + 10 * NS_PER_MS);
}
END_TEST

START_TEST(budget__threads_that_got_cheap_are_all_looked_at_again)
{
	sweep_for(2, 20, 1000, 15000, 1);
	sweep_for(10, 20, 1000, 300, 1);
	ck_assert_uint_eq(budget_part(&budget, now + 50 * NS_PER_MS, 1000, 1), BUDGET_ALL);
}
END_TEST

START_TEST(budget__after_a_long_sleep_one_sweep_is_still_short)
{
	uint32_t part;

	now += 3600 * NS_PER_SECOND;
	part = budget_part(&budget, now, 100000, 1);
	ck_assert_int_le((int64_t)100000 * part / BUDGET_ALL * 15000, 5 * NS_PER_MS);
}
END_TEST

START_TEST(budget__without_threads_there_is_no_harm)
{
	ck_assert_uint_eq(budget_part(&budget, now, 0, 0), BUDGET_ALL);
	budget_used(&budget, 1000, 0);
	ck_assert_int_eq(budget_mean_part(&budget), 100);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("budget");
	Suite *s = suite_create("budget");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, budget__few_threads_are_all_looked_at);
	tcase_add_test(t, budget__is_kept_however_many_threads_there_are);
	tcase_add_test(t, budget__is_shared_by_those_who_run);
	tcase_add_test(t, budget__threads_that_got_cheap_are_all_looked_at_again);
	tcase_add_test(t, budget__after_a_long_sleep_one_sweep_is_still_short);
	tcase_add_test(t, budget__without_threads_there_is_no_harm);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
