/* Numbers in text. */
#include "sampler/base/number.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>

static void check(const char *text, unsigned base, uint64_t number, const char *rest)
{
	uint64_t n = number_take(&text, base);

	ck_assert_uint_eq(n, number);
	ck_assert_str_eq(text, rest);
}

START_TEST(test_number__ends_at_the_first_that_is_no_digit)
{
	check("0", 10, 0, "");
	check("7f2a-8000 r-xp", 16, 0x7f2a, "-8000 r-xp");
	check("7F2A", 16, 0x7f2a, "");
	check("7f", 10, 7, "f");
	check("0178", 8, 15, "8");
	check("12 34", 10, 12, " 34");
	check("fffg", 16, 0xfff, "g");
}
END_TEST

START_TEST(test_number__without_digits_nothing_is_taken)
{
	check("", 10, 0, "");
	check("-1", 10, 0, "-1");
	check("+1", 10, 0, "+1");
	check(" 1", 10, 0, " 1");
	check("x", 16, 0, "x");
}
END_TEST

/* However many digits follow, the largest stays the largest. */
START_TEST(test_number__what_is_too_large_is_the_largest)
{
	check("18446744073709551614", 10, UINT64_MAX - 1, "");
	check("18446744073709551615", 10, UINT64_MAX, "");
	check("18446744073709551616", 10, UINT64_MAX, "");
	check("18446744073709551620 ", 10, UINT64_MAX, " ");
	check("99999999999999999999999999999999", 10, UINT64_MAX, "");
	check("ffffffffffffffff", 16, UINT64_MAX, "");
	check("10000000000000000", 16, UINT64_MAX, "");
	check("100000000000000001", 16, UINT64_MAX, "");
}
END_TEST

START_TEST(test_number__digits_and_no_others)
{
	for (int c = -128; c < 128; c++) {
		int digit = number_digit((char)c);
		bool is_one =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

		ck_assert_int_eq(digit >= 0, is_one);
		if (is_one) {
			char text[2] = { (char)c };

			ck_assert_int_eq(digit, strtol(text, NULL, 16));
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("number");
	TCase *tc = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(tc, test_number__ends_at_the_first_that_is_no_digit);
	tcase_add_test(tc, test_number__without_digits_nothing_is_taken);
	tcase_add_test(tc, test_number__what_is_too_large_is_the_largest);
	tcase_add_test(tc, test_number__digits_and_no_others);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
