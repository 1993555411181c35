#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/own_areas.h"

#define THREADS 8

/* Each test has a process of its own.  These addresses are below any program's. */

static void add(uint64_t start, uint64_t limit, bool kept)
{
	own_area_add((struct own_area){ start, limit }, kept);
}

static void expect(uint64_t from, uint64_t start, uint64_t limit)
{
	struct own_area a = own_area_behind(from);

	ck_assert_uint_eq(a.start, start);
	ck_assert_uint_eq(a.limit, limit);
}

START_TEST(the_image_is_always_there)
{
	static uint8_t zeroed[2 * PAGE_BYTES];
	static uint8_t data[16] = { 1 };
	struct own_area image = own_image(), bss = own_bss();
	uint64_t page = ALIGN_UP((uint64_t)zeroed, PAGE_BYTES);

	expect(0, image.start, image.limit);
	expect(image.limit - 1, image.start, image.limit);
	expect(image.limit, UINT64_MAX, UINT64_MAX);
	ck_assert_uint_le(image.start, (uint64_t)(uintptr_t)&own_image);
	ck_assert_uint_lt((uint64_t)(uintptr_t)data, bss.start);
	ck_assert_uint_ge((uint64_t)(uintptr_t)data, image.start);
	ck_assert_uint_le(bss.start, page);
	ck_assert_uint_gt(bss.limit, page);
	ck_assert_uint_eq(bss.limit, image.limit);
	ck_assert_uint_eq(bss.start % PAGE_BYTES, 0);
	ck_assert_uint_eq(bss.limit % PAGE_BYTES, 0);
}
END_TEST

START_TEST(areas_are_found_in_order)
{
	add(0x30000, 0x31000, false);
	add(0x10000, 0x12000, false);
	expect(0, 0x10000, 0x12000);
	expect(0x10000, 0x10000, 0x12000);
	expect(0x11fff, 0x10000, 0x12000);
	expect(0x12000, 0x30000, 0x31000);
	expect(0x31000, own_image().start, own_image().limit);
	own_area_remove(0x10000);
	expect(0, 0x30000, 0x31000);
	own_area_remove(0x10000); /* not there */
	expect(0, 0x30000, 0x31000);
}
END_TEST

START_TEST(a_child_has_only_what_is_kept)
{
	add(0x10000, 0x11000, false);
	add(0x20000, 0x21000, true);
	own_areas_after_fork();
	expect(0, 0x20000, 0x21000);
}
END_TEST

START_TEST(too_many_are_left_out_and_room_is_used_again)
{
	for (uint64_t i = 0; i < OWN_AREAS_MAX; i++)
		add(0x100000 + i * 0x1000, 0x100800 + i * 0x1000, false);
	add(0x10000, 0x11000, false);
	expect(0, 0x100000, 0x100800);
	own_area_remove(0x105000);
	add(0x10000, 0x11000, false);
	expect(0, 0x10000, 0x11000);
	expect(0x104800, 0x106000, 0x106800);
}
END_TEST

static void *come_and_go(void *arg)
{
	uint64_t start = 0x100000 * ((uint64_t)(uintptr_t)arg + 1);

	for (int i = 0; i < 50000; i++) {
		struct own_area a;

		add(start, start + 0x1000, false);
		a = own_area_behind(start);
		if (a.start != start || a.limit != start + 0x1000)
			abort();
		own_area_remove(start);
	}
	return NULL;
}

START_TEST(threads_do_not_lose_each_others_areas)
{
	pthread_t thread[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, come_and_go, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	expect(0, own_image().start, own_image().limit);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("own areas");
	TCase *tc = tcase_create("own areas");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, the_image_is_always_there);
	tcase_add_test(tc, areas_are_found_in_order);
	tcase_add_test(tc, a_child_has_only_what_is_kept);
	tcase_add_test(tc, too_many_are_left_out_and_room_is_used_again);
	tcase_add_test(tc, threads_do_not_lose_each_others_areas);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
