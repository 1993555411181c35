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

#define LOOK_NS	 15000
#define CLOCK_NS 300

static uint32_t share_of(uint32_t count, uint32_t part)
{
	return (uint32_t)((uint64_t)count * part / BUDGET_ALL);
}

/* So many seconds of sweeps at 20 Hz, over threads of which some move all the time. */
static void sweep_for(int seconds, uint32_t threads, uint32_t moving, uint32_t sharers)
{
	for (int i = 0; i < seconds * 20; i++) {
		struct budget_parts part;
		struct budget_bill bill = { .threads = threads };

		now += NS_PER_SECOND / 20;
		part = budget_draw(&budget, now, threads - moving, moving, sharers);
		bill.drawn = share_of(threads, part.threads);
		bill.clocks = share_of(threads - moving, part.threads);
		bill.unknown = share_of(moving, part.threads);
		bill.looks = share_of(bill.unknown, part.looks);
		bill.ns = bill.clocks * CLOCK_NS + bill.looks * LOOK_NS;
		used += bill.ns;
		if (part.threads)
			budget_pay(&budget, &bill);
	}
}

START_TEST(budget__few_threads_are_all_looked_at)
{
	sweep_for(1, 20, 20, 1);
	ck_assert_int_eq(budget_known_percent(&budget), 100);
}
END_TEST

START_TEST(budget__of_a_thousand_sleepers_all_is_known)
{
	sweep_for(10, 1000, 0, 1);
	ck_assert_int_eq(budget_known_percent(&budget), 100);
	ck_assert_int_le(used, 10 * NS_PER_SECOND / 100);
}
END_TEST

START_TEST(budget__is_kept_however_many_threads_move)
{
	sweep_for(100, 10000, 10000, 1);
	ck_assert_int_le(used, 100 * NS_PER_SECOND / 100);
	ck_assert_int_ge(used, 50 * NS_PER_SECOND / 100); /* and used */
	ck_assert_int_lt(budget_known_percent(&budget), 5);
}
END_TEST

START_TEST(budget__is_kept_however_many_threads_sleep)
{
	sweep_for(100, 30000, 10, 1);
	ck_assert_int_le(used, 100 * NS_PER_SECOND / 100);
	ck_assert_int_ge(budget_known_percent(&budget), 2);
}
END_TEST

START_TEST(budget__is_shared_by_those_who_run)
{
	sweep_for(100, 10000, 10000, 4);
	ck_assert_int_le(used, 25 * NS_PER_SECOND / 100);
}
END_TEST

START_TEST(budget__after_a_long_sleep_one_sweep_is_still_short)
{
	struct budget_parts part;

	now += 3600 * NS_PER_SECOND;
	part = budget_draw(&budget, now, 0, 100000, 1);
	ck_assert_int_le((int64_t)share_of(share_of(100000, part.threads), part.looks) * LOOK_NS,
			 5 * NS_PER_MS);
	ck_assert_uint_gt(part.looks, 0);
}
END_TEST

START_TEST(budget__without_threads_there_is_no_harm)
{
	struct budget_parts part = budget_draw(&budget, now, 0, 0, 0);

	ck_assert_uint_eq(part.threads, BUDGET_ALL);
	ck_assert_uint_eq(part.looks, BUDGET_ALL);
	budget_pay(&budget, &(struct budget_bill){ .ns = 1000 });
	ck_assert_int_eq(budget_known_percent(&budget), 100);
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
	tcase_add_test(t, budget__of_a_thousand_sleepers_all_is_known);
	tcase_add_test(t, budget__is_kept_however_many_threads_move);
	tcase_add_test(t, budget__is_kept_however_many_threads_sleep);
	tcase_add_test(t, budget__is_shared_by_those_who_run);
	tcase_add_test(t, budget__after_a_long_sleep_one_sweep_is_still_short);
	tcase_add_test(t, budget__without_threads_there_is_no_harm);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
