/* At most so many a second, and some more at first. */
#include <check.h>
#include <stdlib.h>

#include "sampler/base/turn.h"

#define BURST	 4
#define INTERVAL 10

static int taken_at(struct turns *t, int64_t now, int tries)
{
	int taken = 0;

	for (int i = 0; i < tries; i++)
		taken += turn_take(t, now, INTERVAL, BURST);
	return taken;
}

START_TEST(turn__a_burst_at_once_and_no_more)
{
	struct turns t = { 0 };

	ck_assert_int_eq(taken_at(&t, 1000, 100), BURST);
	ck_assert_int_eq(taken_at(&t, 1009, 100), 0);
}
END_TEST

START_TEST(turn__one_every_interval_after_it)
{
	struct turns t = { 0 };
	int taken = taken_at(&t, 1000, 100);

	for (int64_t now = 1001; now <= 2000; now++)
		taken += taken_at(&t, now, 3);
	ck_assert_int_eq(taken, BURST + 1000 / INTERVAL);
}
END_TEST

START_TEST(turn__rest_brings_the_burst_back)
{
	struct turns t = { 0 };

	taken_at(&t, 1000, 100);
	ck_assert_int_eq(taken_at(&t, 1000 + 2 * INTERVAL, 100), 2);
	ck_assert_int_eq(taken_at(&t, 1000000, 100), BURST);
}
END_TEST

/* No clock: then what is left is the burst. */
START_TEST(turn__a_clock_that_stands_gives_the_burst)
{
	struct turns t = { 0 };

	ck_assert_int_eq(taken_at(&t, 0, 100), BURST);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("turn");
	Suite *s = suite_create("turn");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, turn__a_burst_at_once_and_no_more);
	tcase_add_test(t, turn__one_every_interval_after_it);
	tcase_add_test(t, turn__rest_brings_the_burst_back);
	tcase_add_test(t, turn__a_clock_that_stands_gives_the_burst);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
