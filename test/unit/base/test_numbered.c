/* Strings and their numbers, which any number of threads give out. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/numbered.h"

#define MOST	500
#define THREADS 8

static struct permanent memory = { .limit = 1UL << 20 };

NUMBERED_TABLE(table, MOST, &memory);

static const struct numbered *add(const char *s)
{
	return numbered_add(&table, s, (uint32_t)strlen(s));
}

START_TEST(each_string_has_one_number)
{
	const struct numbered *a = add("a"), *b = add("b");

	ck_assert_uint_eq(a->number, 1);
	ck_assert_uint_eq(b->number, 2);
	ck_assert_ptr_eq(add("a"), a);
	ck_assert_ptr_eq(numbered_at(&table, 2), b);
	ck_assert_ptr_null(numbered_at(&table, 0));
	ck_assert_ptr_null(numbered_at(&table, 3));
	ck_assert_ptr_null(numbered_at(&table, MOST + 1));
}
END_TEST

START_TEST(bytes_are_any_bytes)
{
	const struct numbered *a = numbered_add(&table, "a\0b", 3);

	ck_assert_ptr_ne(numbered_add(&table, "a\0c", 3), a);
	ck_assert_ptr_ne(add("a"), a);
	ck_assert_ptr_eq(numbered_find(&table, "a\0b", 3), a);
	ck_assert_ptr_null(numbered_find(&table, "a\0d", 3));
	ck_assert_mem_eq(a->bytes, "a\0b", 4);
}
END_TEST

START_TEST(when_all_numbers_are_given_there_is_none)
{
	char s[16];

	for (int i = 0; i < 2 * MOST; i++) {
		snprintf(s, sizeof(s), "%d", i);
		ck_assert_int_eq(add(s) != NULL, i < MOST);
	}
	ck_assert_ptr_nonnull(add("17"));
	ck_assert_uint_le(memory.mapped, 64UL << 10);
}
END_TEST

static void *add_all(void *unused)
{
	char s[16];

	for (int i = 0; i < MOST / 2; i++) {
		snprintf(s, sizeof(s), "%d", i);
		ck_assert_ptr_eq(add(s), add(s));
	}
	return unused;
}

START_TEST(threads_that_add_the_same_get_the_same)
{
	pthread_t thread[THREADS];
	char s[16];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, add_all, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < MOST / 2; i++) {
		const struct numbered *n;

		snprintf(s, sizeof(s), "%d", i);
		n = numbered_find(&table, s, (uint32_t)strlen(s));
		ck_assert_ptr_nonnull(n);
		ck_assert_ptr_eq(numbered_at(&table, n->number), n);
		for (int k = 0; k < i; k++) {
			snprintf(s, sizeof(s), "%d", k);
			ck_assert_uint_ne(numbered_find(&table, s, (uint32_t)strlen(s))->number,
					  n->number);
		}
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("numbered");
	Suite *s = suite_create("numbered");
	SRunner *r;
	int failed;

	tcase_add_test(t, each_string_has_one_number);
	tcase_add_test(t, bytes_are_any_bytes);
	tcase_add_test(t, when_all_numbers_are_given_there_is_none);
	tcase_add_test(t, threads_that_add_the_same_get_the_same);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
