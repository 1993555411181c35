#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/reserve.h"
#include "sampler/base/shelf.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"

#define THREADS 8

/* Each test has a process of its own, so that the shelf is empty. */

static bool is_zero(const uint8_t *p, size_t bytes)
{
	return p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0;
}

START_TEST(pieces_lie_side_by_side)
{
	uint8_t *a = shelf_take(1), *b = shelf_take(PAGE_BYTES + 1), *c = shelf_take(1);

	ck_assert_uint_eq((uintptr_t)a % PAGE_BYTES, 0);
	ck_assert_ptr_eq(b, a + PAGE_BYTES);
	ck_assert_ptr_eq(c, b + 2 * PAGE_BYTES);
	ck_assert(is_zero(a, 4 * PAGE_BYTES));
}
END_TEST

START_TEST(a_full_shelf_refuses)
{
	ck_assert_ptr_null(shelf_take(SHELF_BYTES + 1));
	ck_assert_ptr_null(shelf_take(SIZE_MAX));
	ck_assert_ptr_nonnull(shelf_take(SHELF_BYTES - 1));
	ck_assert_ptr_null(shelf_take(1));
}
END_TEST

START_TEST(the_last_piece_makes_room_again_and_is_zeroed)
{
	uint8_t *a = shelf_take(PAGE_BYTES), *b = shelf_take(3 * PAGE_BYTES);

	memset(a, 1, PAGE_BYTES);
	memset(b, 2, 3 * PAGE_BYTES);
	shelf_give_back(b, 3 * PAGE_BYTES);
	ck_assert_ptr_eq(shelf_take(3 * PAGE_BYTES), b);
	ck_assert(is_zero(b, 3 * PAGE_BYTES));
	shelf_give_back(a, PAGE_BYTES);
	ck_assert_ptr_eq(shelf_take(PAGE_BYTES), b + 3 * PAGE_BYTES);
}
END_TEST

START_TEST(others_memory_is_not_taken_back)
{
	static uint8_t before[PAGE_BYTES];
	uint8_t *all = shelf_take(SHELF_BYTES);

	ck_assert(!shelf_has(before));
	ck_assert(!shelf_has(all + SHELF_BYTES));
	ck_assert(!shelf_has(all - 1));
}
END_TEST

START_TEST(what_is_resident_behind_the_last_piece_is_given_back)
{
	uint8_t *a = shelf_take(PAGE_BYTES);
	unsigned char resident[2] = { 0 };

	memset(a, 1, 2 * PAGE_BYTES); /* the second as if by a huge page */
	shelf_trim();
	ck_assert_int_eq(mincore(a, 2 * PAGE_BYTES, resident), 0);
	ck_assert_int_eq(resident[0] & 1, 1);
	ck_assert_int_eq(resident[1] & 1, 0);
	ck_assert_uint_eq(*a, 1);
	ck_assert_ptr_eq(shelf_take(1), a + PAGE_BYTES);
	ck_assert(is_zero(a + PAGE_BYTES, PAGE_BYTES));
}
END_TEST

/* ---- what is kept, on the shelf and beside it */

START_TEST(what_is_kept_is_counted_wherever_it_lies)
{
	size_t before = sys_mapped_bytes();
	uint8_t *on = sys_map_kept(SHELF_BYTES), *beside = sys_map_kept(SHELF_BYTES);

	ck_assert_uint_eq(sys_mapped_bytes(), before + 2 * SHELF_BYTES);
	memset(on, 1, SHELF_BYTES);
	memset(beside, 1, SHELF_BYTES);
	sys_unmap_kept(beside, SHELF_BYTES);
	sys_unmap_kept(on, SHELF_BYTES);
	ck_assert_uint_eq(sys_mapped_bytes(), before);
	ck_assert_ptr_eq(sys_map_kept(SHELF_BYTES), on);
}
END_TEST

START_TEST(a_child_has_what_is_kept_and_zeroes_in_what_is_wiped)
{
	uint8_t *on = sys_map_kept(PAGE_BYTES), *beside = sys_map_kept(SHELF_BYTES);
	uint8_t *wiped = sys_map_wiped(PAGE_BYTES);
	int status = 1;
	pid_t child;

	*on = *beside = *wiped = 7;
	child = fork();
	if (child == 0)
		_exit(!(*on == 7 && *beside == 7 && *wiped == 0));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(*wiped, 7);
}
END_TEST

/* ---- threads */

static void *take_and_give_back(void *arg)
{
	uint8_t mark = (uint8_t)(uintptr_t)arg;
	uintptr_t taken = 0;

	for (int i = 0; i < 20000; i++) {
		uint8_t *p = shelf_take(PAGE_BYTES);

		if (!p)
			continue; /* pieces that were not the last are lost */
		taken++;
		if (*p)
			abort();
		*(volatile uint8_t *)p = mark;
		if (*(volatile uint8_t *)p != mark)
			abort();
		shelf_give_back(p, PAGE_BYTES);
	}
	return (void *)taken;
}

START_TEST(threads_never_share_a_piece)
{
	pthread_t thread[THREADS];
	uintptr_t taken = 0;
	void *some;

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, take_and_give_back, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &some);
		taken += (uintptr_t)some;
	}
	ck_assert_uint_ge(taken, SHELF_BYTES / PAGE_BYTES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shelf");
	TCase *tc = tcase_create("shelf");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, pieces_lie_side_by_side);
	tcase_add_test(tc, a_full_shelf_refuses);
	tcase_add_test(tc, the_last_piece_makes_room_again_and_is_zeroed);
	tcase_add_test(tc, what_is_resident_behind_the_last_piece_is_given_back);
	tcase_add_test(tc, others_memory_is_not_taken_back);
	tcase_add_test(tc, what_is_kept_is_counted_wherever_it_lies);
	tcase_add_test(tc, a_child_has_what_is_kept_and_zeroes_in_what_is_wiped);
	tcase_add_test(tc, threads_never_share_a_piece);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
