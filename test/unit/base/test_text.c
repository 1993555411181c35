#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/text.h"

START_TEST(text__appends_one_after_the_other)
{
	char buf[64];
	struct text t = TEXT_INIT(buf);

	text_str(&t, "n=");
	text_u64(&t, 42);
	text_char(&t, ' ');
	text_hex(&t, 0xbeef);
	text_bytes(&t, "!?xxx", 2);
	ck_assert_str_eq(buf, "n=42 beef!?");
	ck_assert_uint_eq(t.len, strlen(buf));
	ck_assert(!t.cut);
}
END_TEST

/* For every size of buffer: a true beginning, ended with NUL, nothing written behind. */
START_TEST(text__is_cut_at_any_size_and_says_so)
{
	static const char whole[] = "abc-9223372036854775808ffffffffffffffff";

	for (size_t size = 1; size <= sizeof(whole) + 2; size++) {
		char buf[64];
		struct text t = { .at = buf, .size = size };

		memset(buf, '#', sizeof(buf));
		text_str(&t, "abc");
		text_i64(&t, INT64_MIN);
		text_hex(&t, UINT64_MAX);
		ck_assert_uint_eq(t.len, MIN(size - 1, sizeof(whole) - 1));
		ck_assert_mem_eq(buf, whole, t.len);
		ck_assert_int_eq(buf[t.len], '\0');
		ck_assert_int_eq(buf[size], '#');
		ck_assert_int_eq(t.cut, size < sizeof(whole));
	}
}
END_TEST

START_TEST(text__exactly_full_is_not_cut)
{
	char buf[4];
	struct text t = TEXT_INIT(buf);

	text_str(&t, "abc");
	ck_assert(!t.cut);
	text_str(&t, "");
	ck_assert(!t.cut);
	text_char(&t, 'd');
	ck_assert(t.cut);
	ck_assert_str_eq(buf, "abc");
}
END_TEST

START_TEST(text__once_cut_stays_cut)
{
	char buf[4];
	struct text t = TEXT_INIT(buf);

	text_str(&t, "abcdef");
	text_str(&t, "");
	ck_assert(t.cut);
}
END_TEST

static const int64_t numbers[] = { 0,  1,	  -1,	     9,		10,	   -10,
				   99, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1000000007 };

START_TEST(text__numbers_are_as_printf_writes_them)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char buf[64], expected[64];
		struct text t = TEXT_INIT(buf);

		text_i64(&t, numbers[i]);
		text_char(&t, ' ');
		text_u64(&t, (uint64_t)numbers[i]);
		text_char(&t, ' ');
		text_hex(&t, (uint64_t)numbers[i]);
		snprintf(expected, sizeof(expected), "%" PRId64 " %" PRIu64 " %" PRIx64, numbers[i],
			 (uint64_t)numbers[i], (uint64_t)numbers[i]);
		ck_assert_str_eq(buf, expected);
	}
}
END_TEST

START_TEST(text__time_of_day_is_that_of_utc)
{
	char buf[32];
	struct text t = TEXT_INIT(buf);

	text_time_of_day(&t, 20000 * 86400UL + 7 * 3600 + 2 * 60 + 31);
	ck_assert_str_eq(buf, "07:02:31 UTC");
}
END_TEST

START_TEST(text__shows_the_beginning_of_what_is_long)
{
	char buf[32];
	struct text t = TEXT_INIT(buf);

	text_begin_of(&t, "abc", 3);
	text_begin_of(&t, "abcd", 3);
	text_begin_of(&t, "", 0);
	ck_assert_str_eq(buf, "abcabc...");
}
END_TEST

START_TEST(text__keeps_bytes_that_are_zero)
{
	char buf[8];
	struct text t = TEXT_INIT(buf);

	text_bytes(&t, "a\0b", 3);
	text_bytes(&t, "", 0);
	ck_assert_uint_eq(t.len, 3);
	ck_assert_mem_eq(buf, "a\0b", 4);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("text");
	Suite *s = suite_create("text");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, text__appends_one_after_the_other);
	tcase_add_test(t, text__is_cut_at_any_size_and_says_so);
	tcase_add_test(t, text__exactly_full_is_not_cut);
	tcase_add_test(t, text__once_cut_stays_cut);
	tcase_add_test(t, text__numbers_are_as_printf_writes_them);
	tcase_add_test(t, text__shows_the_beginning_of_what_is_long);
	tcase_add_test(t, text__time_of_day_is_that_of_utc);
	tcase_add_test(t, text__shows_the_beginning_of_what_is_long);
	tcase_add_test(t, text__time_of_day_is_that_of_utc);
	tcase_add_test(t, text__keeps_bytes_that_are_zero);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
