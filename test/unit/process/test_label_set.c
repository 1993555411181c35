/* Sets of labels, and what becomes of those that have no room. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/process/label_set.h"

#define OWN_MAX	   2048
#define VALUES_MAX 1024

/* "key=value key=value" */
static const char *text_of(uint32_t set)
{
	static char text[4096];
	struct label_set all;

	*text = '\0';
	label_set_get(set, &all);
	for (uint32_t i = 0; i < all.count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s=%s", i ? " " : "",
			 all.key[i], all.value[i]);
	return text;
}

static uint32_t with(uint32_t set, const char *key, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	return label_set_with(set, key, text);
}

START_TEST(pairs_are_in_order_of_key)
{
	uint32_t set = label_set_with(label_set_with(0, "route", "/a"), "kind", "slow");

	ck_assert_str_eq(text_of(set), "kind=slow route=/a");
	ck_assert(frame_is_labels(set));
	ck_assert_uint_eq(label_set_with(label_set_with(0, "kind", "slow"), "route", "/a"), set);
	ck_assert_str_eq(text_of(label_set_with(set, "kind", "quick")), "kind=quick route=/a");
	ck_assert_str_eq(text_of(label_set_with(set, "a", "b")), "a=b kind=slow route=/a");
	ck_assert_str_eq(text_of(0), "");
}
END_TEST

START_TEST(what_is_taken_away_is_as_if_it_had_never_been)
{
	uint32_t one = label_set_with(0, "a", "1"), two = label_set_with(one, "b", "2");

	ck_assert_uint_eq(label_set_with(two, "b", NULL), one);
	ck_assert_uint_eq(label_set_with(two, "b", ""), one);
	ck_assert_uint_eq(label_set_with(two, "c", NULL), two);
	ck_assert_uint_eq(label_set_with(one, "a", NULL), 0);
	ck_assert_uint_eq(label_set_with(two, NULL, NULL), 0);
	ck_assert_str_eq(text_of(label_set_with(two, "a", NULL)), "b=2");
}
END_TEST

START_TEST(what_cannot_be_is_counted_and_changes_nothing)
{
	static const char *const ours[] = { "age",    "idle", "pid",	     "process", "state",
					    "thread", "tid",  "wait_reason", "" };
	uint32_t set = label_set_with(0, "a", "1");
	char key[16];

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		ck_assert_uint_eq(label_set_with(set, ours[i], "x"), set);
	ck_assert_uint_eq(counter_get(COUNTER_LABELS_REFUSED), ARRAY_SIZE(ours));
	for (int i = 0; i < 8; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		set = label_set_with(set, key, "x");
	}
	ck_assert_str_eq(text_of(set), "a=1 key0=x key1=x key2=x key3=x key4=x key5=x key6=x");
	ck_assert_uint_eq(counter_get(COUNTER_LABELS_REFUSED), ARRAY_SIZE(ours) + 1);
	ck_assert_str_eq(text_of(label_set_with(set, "key0", "y")),
			 "a=1 key0=y key1=x key2=x key3=x key4=x key5=x key6=x");
}
END_TEST

START_TEST(texts_are_cut_and_made_readable)
{
	char lengthy[1000], wanted[300];

	memset(lengthy, 'x', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	snprintf(wanted, sizeof(wanted), "%.64s=%.128s", lengthy, lengthy);
	ck_assert_str_eq(text_of(label_set_with(0, lengthy, lengthy)), wanted);
	ck_assert_uint_eq(label_set_with(label_set_with(0, lengthy, lengthy), lengthy, NULL), 0);
	ck_assert_str_eq(text_of(label_set_with(0, "k\xff", "\n")), "k\xef\xbf\xbd=\xef\xbf\xbd");
}
END_TEST

START_TEST(a_key_with_too_many_values_leaves_room_for_others)
{
	char route[16];

	for (int i = 0; i < 3 * VALUES_MAX; i++)
		with(0, "id", i);
	ck_assert_str_eq(text_of(with(0, "id", VALUES_MAX - 1)), "id=1023");
	ck_assert_str_eq(text_of(with(0, "id", VALUES_MAX)), "id=[other]");
	ck_assert_uint_eq(counter_get(COUNTER_LABELS_OTHER), 2 * VALUES_MAX + 1);
	for (int i = 0; i < 100; i++) {
		snprintf(route, sizeof(route), "route=%d", i);
		ck_assert_str_eq(text_of(with(0, "route", i)), route);
	}
	ck_assert_str_eq(text_of(with(with(0, "route", 5), "id", 9999)), "id=[other] route=5");
}
END_TEST

START_TEST(with_too_many_sets_the_last_value_is_other)
{
	uint64_t other = 0;

	for (int a = 0; a < 100; a++)
		for (int b = 0; b < 100; b++) {
			uint32_t set = with(with(0, "a", a), "b", b);

			ck_assert(label_set_exists(set));
			ck_assert_uint_ne(set, 0);
			other += strstr(text_of(set), "[other]") != NULL;
		}
	ck_assert_uint_eq(counter_get(COUNTER_LABELS_OTHER) >= other, 1);
	ck_assert_uint_ge(other, 100 * 100 - OWN_MAX);
	ck_assert_uint_le(label_set_count().own, OWN_MAX);
	ck_assert_str_eq(text_of(with(with(0, "a", 0), "b", 99)), "a=0 b=99");
	ck_assert_str_eq(text_of(with(with(0, "a", 5), "b", 5000)), "a=5 b=[other]");
}
END_TEST

/* Whatever comes, the last resort is no label, and nothing breaks. */
START_TEST(keys_without_end_come_to_one)
{
	char key[16];
	uint32_t set = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key%d", i % 64);
		set = with(i % 8 ? set : 0, key, i);
		set = with(set, "more", i * 7);
		text_of(set);
	}
	ck_assert_uint_eq(with(0, "the sixty-sixth", 1), 0);
}
END_TEST

START_TEST(others_do_not_drive_out_our_own)
{
	struct label_set theirs = { .count = 2, .key = { "a", "b" } };
	char a[16], b[16];
	uint32_t last = 0;

	for (int i = 0; i < 5000; i++) {
		snprintf(a, sizeof(a), "%d", i % 70);
		snprintf(b, sizeof(b), "%d", i / 70);
		theirs.value[0] = a;
		theirs.value[1] = b;
		last = label_set_meet(&theirs);
	}
	ck_assert_str_eq(text_of(last), "a=[other] b=[other]");
	for (int i = 0; i < 1000; i++)
		ck_assert_ptr_null(
			strstr(text_of(with(with(0, "a", i % 30), "c", i / 30)), "other"));
	theirs.count = 1;
	theirs.key[0] = "tid";
	ck_assert_uint_eq(label_set_meet(&theirs), 0);
}
END_TEST

START_TEST(a_number_that_was_not_given_is_none)
{
	uint32_t set = label_set_with(0, "a", "1");

	ck_assert(label_set_exists(0));
	ck_assert(label_set_exists(set));
	ck_assert(!label_set_exists(set + 1));
	ck_assert(!label_set_exists(1));
	ck_assert(!label_set_exists(FRAME_PSEUDO_LIMIT));
	ck_assert(!label_set_exists(UINT32_MAX));
}
END_TEST

static void *set_many(void *unused)
{
	for (int i = 0; i < 20000; i++) {
		uint32_t set = with(with(0, "a", i % 30), "b", i % 31);
		struct label_set all;

		label_set_get(set, &all);
		ck_assert_int_eq(atoi(all.value[0]), i % 30);
		ck_assert_int_eq(atoi(all.value[1]), i % 31);
	}
	return unused;
}

START_TEST(threads_set_at_the_same_time)
{
	pthread_t thread[8];

	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_create(&thread[i], NULL, set_many, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_le(label_set_count().own, 30 + 930 + 8);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("label_set");
	Suite *s = suite_create("label_set");
	SRunner *r;
	int failed;

	tcase_add_test(t, pairs_are_in_order_of_key);
	tcase_add_test(t, what_is_taken_away_is_as_if_it_had_never_been);
	tcase_add_test(t, what_cannot_be_is_counted_and_changes_nothing);
	tcase_add_test(t, texts_are_cut_and_made_readable);
	tcase_add_test(t, a_key_with_too_many_values_leaves_room_for_others);
	tcase_add_test(t, with_too_many_sets_the_last_value_is_other);
	tcase_add_test(t, keys_without_end_come_to_one);
	tcase_add_test(t, others_do_not_drive_out_our_own);
	tcase_add_test(t, a_number_that_was_not_given_is_none);
	tcase_add_test(t, threads_set_at_the_same_time);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
