/* The bell is there as long as somebody has hung it, and whoever rings is heard. */
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/bell.h"
#include "sampler/base/counters.h"

/* No port has such a number. */
static uint32_t tree(void)
{
	return 1000000U + (uint32_t)getpid();
}

static int is_ringing(void)
{
	struct pollfd p = { .fd = bell_fd(), .events = POLLIN };

	return poll(&p, 1, 0);
}

START_TEST(bell__rings_while_it_hangs)
{
	ck_assert(!bell_ring(tree()));
	bell_hang(tree());
	bell_hang(tree());
	ck_assert_int_eq(is_ringing(), 0);
	ck_assert(bell_ring(tree()));
	ck_assert(bell_ring(tree()));
	ck_assert_int_eq(is_ringing(), 1);
	ck_assert_int_eq(bell_rung_ns(), 0);
	bell_answer();
	ck_assert_int_gt(bell_rung_ns(), 0);
	ck_assert_int_eq(is_ringing(), 0);
	bell_take_down();
	ck_assert(bell_ring(tree()));
	bell_take_down();
	ck_assert(!bell_ring(tree()));
	ck_assert_int_lt(bell_fd(), 0);
}
END_TEST

START_TEST(bell__whose_name_is_taken_is_counted)
{
	uint64_t missing = counter_get(COUNTER_BELLS_MISSING);

	bell_hang(tree());
	bell_forget(); /* as in another process: the socket is still there */
	bell_hang(tree());
	ck_assert_uint_eq(counter_get(COUNTER_BELLS_MISSING) - missing, 1);
	bell_take_down();
}
END_TEST

START_TEST(bell__a_full_queue_has_been_heard)
{
	bell_hang(tree());
	for (int i = 0; i < 200; i++)
		ck_assert(bell_ring(tree()));
	bell_take_down();
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("bell");
	Suite *s = suite_create("bell");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, bell__rings_while_it_hangs);
	tcase_add_test(t, bell__whose_name_is_taken_is_counted);
	tcase_add_test(t, bell__a_full_queue_has_been_heard);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
