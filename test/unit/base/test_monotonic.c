#include <check.h>
#include <stdlib.h>

#include "sampler/base/monotonic.h"
#include "sampler/base/sys.h"

static int kernel_clock(clockid_t clock, struct timespec *ts)
{
	return (int)sys_call3(SYS_clock_gettime, clock, (long)ts, 0);
}

START_TEST(monotonic__is_the_kernels_clock_with_any_function)
{
	static const clock_function functions[] = { NULL, kernel_clock, clock_gettime };
	int i = _i;
	int64_t before;

	monotonic_use(functions[i]);
	before = sys_now_ns();
	ck_assert_int_ge(monotonic_ns(), before);
	ck_assert_int_le(monotonic_ns(), sys_now_ns());
}
END_TEST

START_TEST(monotonic__the_coarse_clock_follows_and_is_never_ahead)
{
	int64_t first, now;

	monotonic_use(clock_gettime);
	first = monotonic_coarse_ns();
	ck_assert_int_gt(first, 0);
	do { /* for ever if it stood still: the test's own time limit ends that */
		now = monotonic_coarse_ns();
		ck_assert_int_ge(now, first);
		ck_assert_int_le(now, monotonic_ns());
	} while (now == first);
}
END_TEST

START_TEST(monotonic__without_a_vdso_the_coarse_clock_is_the_fine_one)
{
	int64_t before = sys_now_ns();

	monotonic_use(NULL);
	ck_assert_int_ge(monotonic_coarse_ns(), before);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("monotonic");
	Suite *s = suite_create("monotonic");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, monotonic__is_the_kernels_clock_with_any_function, 0, 3);
	tcase_add_test(t, monotonic__the_coarse_clock_follows_and_is_never_ahead);
	tcase_add_test(t, monotonic__without_a_vdso_the_coarse_clock_is_the_fine_one);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
