/* Labels of threads and of the program in one profile. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/program_labels.h"
#include "sampler/base/counters.h"
#include "sampler/process/label_set.h"

static struct arena memory;

static const struct message_label of_thread[] = { { .key = "thread", .text = "worker" },
						  { .key = "tid", .number = 17 } };

static void setup(void)
{
	memory = (struct arena)ARENA_INIT(4UL << 20);
}

static void teardown(void)
{
	arena_release(&memory);
}

START_TEST(both_are_in_order_of_key)
{
	static const char *const wanted[] = { "a", "thread", "tid", "zone" };
	uint32_t set = label_set_with(label_set_with(0, "zone", "z"), "a", "1");
	struct program_labels p = { .arena = &memory };
	struct sample_labels of = { of_thread, 2 };

	ck_assert(program_labels_join(&p, 1, set, &of));
	ck_assert_uint_eq(of.count, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_str_eq(of.label[i].key, wanted[i]);
	ck_assert_str_eq(of.label[0].text, "1");
	ck_assert_int_eq(of.label[2].number, 17);
}
END_TEST

START_TEST(the_same_two_are_the_same_labels)
{
	struct program_labels p = { .arena = &memory };
	const struct message_label *seen[40][40];
	char value[16];

	for (int round = 0; round < 2; round++)
		for (uint32_t owner = 0; owner < 40; owner++)
			for (int i = 0; i < 40; i++) {
				struct sample_labels of = { of_thread, owner ? 2 : 0 };

				snprintf(value, sizeof(value), "%d", i);
				ck_assert(program_labels_join(&p, owner,
							      label_set_with(0, "n", value), &of));
				if (!round)
					seen[owner][i] = of.label;
				ck_assert_ptr_eq(of.label, seen[owner][i]);
				ck_assert_str_eq(of.label[0].text, value);
				ck_assert_uint_eq(of.count, owner ? 3 : 1);
			}
}
END_TEST

START_TEST(what_is_missing_is_told)
{
	ck_assert_ptr_null(program_labels_comment(&memory));
	counter_add(COUNTER_LABELS_OTHER, 3);
	counter_add(COUNTER_LABELS_REFUSED, 1);
	ck_assert_str_eq(
		program_labels_comment(&memory),
		"Labels of the program: 3 times a value was one too many and became [other]; "
		"1 were refused (a name of ours, or too many names). Counted since the start.");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("program_labels");
	Suite *s = suite_create("program_labels");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, both_are_in_order_of_key);
	tcase_add_test(t, the_same_two_are_the_same_labels);
	tcase_add_test(t, what_is_missing_is_told);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
