/* What each function has, by lines that can be added up. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/flat_text.h"

static const struct message_function functions[] = { { "main", "main", "", 0 },
						     { "work", "work", "", 0 } };
static const struct message_line lines[] = { { 0, 0 }, { 1, 0 } };
static const struct message_location locations[] = { { MESSAGE_NONE, 1, &lines[0], 1 },
						     { MESSAGE_NONE, 2, &lines[1], 1 } };
static const uint32_t in_work[] = { 1, 0 }, in_main[] = { 0 }, twice[] = { 1, 1, 0 };

START_TEST(flat_text__values_of_each)
{
	struct message_sample samples[] = { { in_work, 2, 0, { 1, 10 }, NULL },
					    { in_main, 1, 0, { 1, 5 }, NULL },
					    { twice, 3, 0, { 2, 20 }, NULL } };
	const struct message m = { .sample_type_count = 2,
				   .function = functions,
				   .function_count = 2,
				   .location = locations,
				   .location_count = 2,
				   .sample = samples,
				   .sample_count = 3 };
	struct arena a = ARENA_INIT(1 << 20);
	struct bytes out;

	ck_assert_int_eq(flat_text(&a, &m, 1, &out), 0);
	ck_assert_uint_eq(out.len, strlen("5 35 main\n30 30 work\n"));
	ck_assert_int_eq(memcmp(out.at, "5 35 main\n30 30 work\n", out.len), 0);
	arena_release(&a);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("flat_text");
	Suite *s = suite_create("flat_text");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, flat_text__values_of_each);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
