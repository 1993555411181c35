/*
 * Which events are recorded, and what they then stand for.  Bounds of the
 * statistical tests are six standard deviations: one failure in 5 * 10^8 runs.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/sys.h"
#include "sampler/locks/chance.h"

static struct chance chance;

static void setup(void)
{
	memset(&chance, 0, sizeof(chance));
	chance.rate = 1000;
	chance.coarsened = COUNTER_BLOCK_COARSENED;
}

/* So far apart in time that no second ever holds many. */
static int64_t quiet_time(void)
{
	static int64_t now;

	return now += NS_PER_SECOND;
}

START_TEST(at_rate_1_everything_is_recorded_and_counts_once)
{
	chance.rate = 1;
	for (uint64_t length = 1; length < 100000; length += 7) {
		struct odds odds = { length, 1 };

		ck_assert(chance_take(&chance, &odds, 5));
		ck_assert_uint_eq(odds_weigh(odds, length), length);
	}
	ck_assert_uint_eq(counter_get(COUNTER_BLOCK_COARSENED), 0);
}
END_TEST

START_TEST(while_everything_is_wanted_everything_counts_once)
{
	chance.everything = 1;
	for (int i = 0; i < 10000; i++) {
		struct odds odds = { 1, 1000000 };

		ck_assert(chance_take(&chance, &odds, 5));
		ck_assert_uint_eq(odds_weigh(odds, 77), 77);
	}
}
END_TEST

START_TEST(what_reaches_the_rate_is_never_missed)
{
	for (uint64_t length = 1000; length < 100000; length += 10) {
		struct odds odds = { length, 1000 };

		ck_assert(chance_take(&chance, &odds, quiet_time()));
		ck_assert_uint_eq(odds_weigh(odds, length), length);
	}
}
END_TEST

#define EVENTS 200000

static const uint64_t lengths[] = { 1, 3, 10, 250, 500, 999 };

/* Each of them is taken with p = length/1000 and then counts as 1/p. */
START_TEST(sums_of_shorter_ones_are_right_on_average)
{
	uint64_t length = lengths[_i];
	double p = (double)length / 1000, count = 0, total = 0;
	double sd = sqrt(EVENTS * (1 - p) / p);

	for (int i = 0; i < EVENTS; i++) {
		struct odds odds = { length, 1000 };

		if (!chance_take(&chance, &odds, quiet_time()))
			continue;
		count += (double)odds_weigh(odds, 1 << 20) / (1 << 20);
		total += (double)odds_weigh(odds, length);
	}
	ck_assert_msg(fabs(count - EVENTS) <= 6 * sd, "%.0f of %d, sd %.0f", count, EVENTS, sd);
	ck_assert_msg(fabs(total - (double)length * EVENTS) <= 6 * sd * (double)length,
		      "%.0f of %.0f", total, (double)length * EVENTS);
}
END_TEST

/* Half of Go's rule of the block profile: a short wait that is taken adds `rate` ns. */
/* The same, drawn before the length is known. */
START_TEST(sums_are_right_when_it_is_drawn_before)
{
	uint64_t length = lengths[_i];
	double p = (double)length / 1000, total = 0;
	double sd = sqrt(EVENTS * (1 - p) / p) * (double)length;

	for (int i = 0; i < EVENTS; i++) {
		struct odds odds = { 0, 1000 };
		uint64_t draw = chance_draw(&chance, &odds);

		odds.hits = length;
		if (draw >= length)
			continue;
		total += (double)odds_weigh(odds, length);
		chance_recorded(&chance, quiet_time());
	}
	ck_assert_msg(fabs(total - (double)length * EVENTS) <= 6 * sd, "%.0f of %.0f", total,
		      (double)length * EVENTS);
}
END_TEST

START_TEST(a_short_wait_that_is_taken_adds_the_rate)
{
	for (uint64_t length = 1; length < 1000; length++)
		ck_assert_uint_eq(odds_weigh((struct odds){ length, 1000 }, length), 1000);
}
END_TEST

/* ---- storms */

/* A million events in one second: how many are recorded, and the sum that they stand for. */
START_TEST(a_storm_is_thinned_and_its_sum_stays_right)
{
	double total = 0, variance = 0;
	int taken = 0;

	for (int i = 0; i < 1000000; i++) {
		struct odds odds = { 1000, 1000 };

		variance += 1e6 * (double)(chance_coarser(&chance) - 1);
		if (!chance_take(&chance, &odds, 5 * NS_PER_SECOND + i))
			continue;
		total += (double)odds_weigh(odds, 1000);
		taken++;
	}
	ck_assert_int_ge(taken, CHANCE_PER_SECOND);
	ck_assert_int_le(taken, 11 * CHANCE_PER_SECOND); /* it takes ten halvings */
	ck_assert_uint_ge(chance_coarser(&chance), 256);
	ck_assert_uint_gt(counter_get(COUNTER_BLOCK_COARSENED), 7);
	ck_assert_msg(fabs(total - 1e9) <= 6 * sqrt(variance), "%.0f, sd %.0f", total,
		      sqrt(variance));
}
END_TEST

START_TEST(a_long_wait_is_recorded_in_the_middle_of_a_storm)
{
	struct odds odds = { 10000000000, 1000 };

	for (int i = 0; i < 1000000; i++) {
		struct odds shorter = { 1000, 1000 };

		chance_take(&chance, &shorter, 5 * NS_PER_SECOND + i);
	}
	ck_assert(chance_take(&chance, &odds, 5 * NS_PER_SECOND));
	ck_assert_uint_eq(odds_weigh(odds, 5), 5);
}
END_TEST

static void storm_in_second(int64_t second, int events)
{
	for (int i = 0; i < events; i++) {
		struct odds odds = { 1000, 1000 };

		chance_take(&chance, &odds, second * NS_PER_SECOND + i);
	}
}

START_TEST(after_a_storm_the_odds_come_back)
{
	uint64_t before;

	storm_in_second(5, 100000);
	before = chance_coarser(&chance);
	ck_assert_uint_ge(before, 16);
	storm_in_second(6, 1);
	ck_assert_uint_ge(chance_coarser(&chance), before / 2);
	for (int64_t second = 7; second < 40; second++)
		storm_in_second(second, 1);
	ck_assert_uint_eq(chance_coarser(&chance), 1);
}
END_TEST

START_TEST(after_a_long_silence_the_odds_are_back_at_once)
{
	storm_in_second(5, 100000);
	storm_in_second(500, 1);
	ck_assert_uint_eq(chance_coarser(&chance), 1);
}
END_TEST

START_TEST(a_lasting_storm_settles)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (int64_t second = 10; second < 60; second++) {
		storm_in_second(second, 20000);
		if (second < 20)
			continue;
		least = least < chance_coarser(&chance) ? least : chance_coarser(&chance);
		most = most > chance_coarser(&chance) ? most : chance_coarser(&chance);
	}
	ck_assert_uint_ge(least, 16);
	ck_assert_uint_le(most, 128);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("chance");
	Suite *s = suite_create("chance");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, at_rate_1_everything_is_recorded_and_counts_once);
	tcase_add_test(t, while_everything_is_wanted_everything_counts_once);
	tcase_add_test(t, what_reaches_the_rate_is_never_missed);
	tcase_add_loop_test(t, sums_of_shorter_ones_are_right_on_average, 0,
			    (int)(sizeof(lengths) / sizeof(*lengths)));
	tcase_add_loop_test(t, sums_are_right_when_it_is_drawn_before, 0,
			    (int)(sizeof(lengths) / sizeof(*lengths)));
	tcase_add_test(t, a_short_wait_that_is_taken_adds_the_rate);
	tcase_add_test(t, a_storm_is_thinned_and_its_sum_stays_right);
	tcase_add_test(t, a_long_wait_is_recorded_in_the_middle_of_a_storm);
	tcase_add_test(t, after_a_storm_the_odds_come_back);
	tcase_add_test(t, after_a_long_silence_the_odds_are_back_at_once);
	tcase_add_test(t, a_lasting_storm_settles);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
