#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/arena.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys_map.h"

static struct arena arena;

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(1 << 20);
}

static void teardown(void)
{
	arena_release(&arena);
}

static uint64_t refusals(void)
{
	return counter_get(COUNTER_ARENA_REFUSED);
}

START_TEST(arena__maps_nothing_until_it_is_used)
{
	ck_assert_uint_eq(arena.mapped, 0);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 1));
	ck_assert_uint_gt(arena.mapped, 0);
}
END_TEST

START_TEST(arena__memory_is_zeroed_aligned_and_apart)
{
	char *before = NULL;

	for (size_t bytes = 0; bytes < 300; bytes++) {
		char *p = arena_alloc(&arena, bytes);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < bytes; i++)
			ck_assert_int_eq(p[i], 0);
		memset(p, 0xff, bytes);
		ck_assert(!before || p >= before + bytes - 1);
		before = p;
	}
}
END_TEST

START_TEST(arena__blocks_larger_than_a_chunk_fit)
{
	char *p = arena_alloc(&arena, 700000);

	ck_assert_ptr_nonnull(p);
	p[699999] = 1;
	ck_assert_uint_le(arena.mapped, arena.limit);
}
END_TEST

START_TEST(arena__release_gives_everything_back_and_the_arena_works_again)
{
	size_t before = sys_mapped_bytes();

	for (int i = 0; i < 20; i++)
		arena_alloc(&arena, 20000);
	ck_assert_uint_eq(sys_mapped_bytes(), before + arena.mapped);
	arena_release(&arena);
	ck_assert_uint_eq(sys_mapped_bytes(), before);
	ck_assert_uint_eq(arena.mapped, 0);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
}
END_TEST

START_TEST(arena__absurd_sizes_are_refused_and_counted)
{
	static const size_t sizes[] = { SIZE_MAX,     SIZE_MAX - 15, SIZE_MAX - 16,
					SIZE_MAX / 2, (1 << 20) + 1, 1 << 20 };
	uint64_t before = refusals();

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		ck_assert_ptr_null(arena_alloc(&arena, sizes[i]));
	ck_assert_uint_eq(refusals(), before + ARRAY_SIZE(sizes));
	ck_assert_uint_eq(arena.mapped, 0);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
}
END_TEST

START_TEST(arena__array_whose_size_overflows_is_refused)
{
	ck_assert_ptr_null(arena_array(&arena, SIZE_MAX / 2, 3));
	ck_assert_ptr_null(arena_array(&arena, SIZE_MAX, SIZE_MAX));
	ck_assert_ptr_null(arena_array(&arena, 1UL << 32, 1UL << 32));
	ck_assert_ptr_nonnull(arena_array(&arena, 100, 100));
	ck_assert_ptr_nonnull(arena_array(&arena, 0, SIZE_MAX));
}
END_TEST

/* Takes blocks until refused; returns how many bytes it got. */
static size_t take_all(size_t bytes)
{
	size_t got = 0;

	while (arena_alloc(&arena, bytes))
		got += bytes;
	return got;
}

/* Every limit, page by page: the Nth mapping is refused for each N in turn. */
START_TEST(arena__never_maps_more_than_its_limit)
{
	size_t before = sys_mapped_bytes();

	for (size_t limit = 0; limit < 600000; limit += 4096) {
		uint64_t refused = refusals();
		size_t got;

		arena = (struct arena)ARENA_INIT(limit);
		got = take_all(1000);
		ck_assert_uint_le(arena.mapped, limit);
		ck_assert_uint_eq(sys_mapped_bytes(), before + arena.mapped);
		ck_assert_uint_gt(refusals(), refused);
		ck_assert(limit < 8192 || got > limit / 2);
		arena_release(&arena);
	}
}
END_TEST

START_TEST(arena__limit_of_any_size_is_kept)
{
	static const size_t limits[] = { 0, 1, 15, 16, 17, 4095, 4097, 65535, 65537, 100001 };

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		arena = (struct arena)ARENA_INIT(limits[i]);
		take_all(1);
		ck_assert_uint_le(arena.mapped, limits[i]);
		arena_release(&arena);
	}
}
END_TEST

START_TEST(arena__a_refused_request_leaves_smaller_ones_possible)
{
	arena_alloc(&arena, 1000);
	ck_assert_ptr_null(arena_alloc(&arena, (1 << 20) - 100));
	ck_assert_ptr_nonnull(arena_alloc(&arena, 1000));
}
END_TEST

/* ---- growing */

START_TEST(arena__the_newest_block_grows_in_place)
{
	char *p = arena_alloc(&arena, 100);

	memset(p, 7, 100);
	ck_assert_ptr_eq(arena_grow(&arena, p, 100, 5000), p);
	ck_assert_int_eq(p[99], 7);
	ck_assert_int_eq(p[100], 0);
	memset(p, 8, 5000);
	ck_assert((char *)arena_alloc(&arena, 1) >= p + 5000);
}
END_TEST

START_TEST(arena__an_older_block_grows_by_copy)
{
	char *p = arena_alloc(&arena, 100);
	char *other = arena_alloc(&arena, 100);
	char *q;

	memset(p, 7, 100);
	memset(other, 9, 100);
	q = arena_grow(&arena, p, 100, 200);
	ck_assert_ptr_ne(q, p);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(q[i], i < 100 ? 7 : 0);
	ck_assert_int_eq(other[0], 9);
}
END_TEST

START_TEST(arena__growing_past_a_chunk_keeps_the_bytes)
{
	size_t bytes = 10;
	char *p = arena_alloc(&arena, bytes);

	for (size_t i = 0; i < bytes; i++)
		p[i] = (char)i;
	while (bytes < 100000) {
		p = arena_grow(&arena, p, bytes, bytes * 3);
		ck_assert_ptr_nonnull(p);
		for (size_t i = 0; i < bytes; i++)
			ck_assert_int_eq(p[i], (char)i);
		for (size_t i = bytes; i < bytes * 3; i++)
			ck_assert_int_eq(p[i], 0);
		bytes *= 3;
		for (size_t i = 0; i < bytes; i++)
			p[i] = (char)i;
	}
}
END_TEST

START_TEST(arena__growing_to_less_or_from_nothing)
{
	char *p = arena_grow(&arena, NULL, 0, 50);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_eq(arena_grow(&arena, p, 50, 20), p);
	ck_assert_ptr_eq(arena_grow(&arena, p, 50, 50), p);
}
END_TEST

/* Growing an empty block: its 16 bytes are its own already. */
START_TEST(arena__an_empty_block_grows)
{
	char *p = arena_alloc(&arena, 0);
	char *q = arena_grow(&arena, p, 0, 16);

	ck_assert_ptr_eq(q, p);
	ck_assert((char *)arena_alloc(&arena, 1) >= q + 16);
}
END_TEST

START_TEST(arena__growing_beyond_the_limit_is_refused_and_the_block_stays)
{
	static const size_t sizes[] = { 2 << 20, SIZE_MAX / 2, SIZE_MAX - 15, SIZE_MAX - 14,
					SIZE_MAX };
	char *p = arena_alloc(&arena, 100);

	memset(p, 7, 100);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		ck_assert_ptr_null(arena_grow(&arena, p, 100, sizes[i]));
	ck_assert_int_eq(p[99], 7);
	ck_assert_ptr_eq(arena_grow(&arena, p, 100, 200), p);
}
END_TEST

START_TEST(arena__strndup_ends_with_nul)
{
	char *p = arena_strndup(&arena, "hello world", 5);

	ck_assert_str_eq(p, "hello");
	ck_assert_str_eq(arena_strndup(&arena, "", 0), "");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("arena");
	Suite *s = suite_create("arena");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, arena__maps_nothing_until_it_is_used);
	tcase_add_test(t, arena__memory_is_zeroed_aligned_and_apart);
	tcase_add_test(t, arena__blocks_larger_than_a_chunk_fit);
	tcase_add_test(t, arena__release_gives_everything_back_and_the_arena_works_again);
	tcase_add_test(t, arena__absurd_sizes_are_refused_and_counted);
	tcase_add_test(t, arena__array_whose_size_overflows_is_refused);
	tcase_add_test(t, arena__never_maps_more_than_its_limit);
	tcase_add_test(t, arena__limit_of_any_size_is_kept);
	tcase_add_test(t, arena__a_refused_request_leaves_smaller_ones_possible);
	tcase_add_test(t, arena__the_newest_block_grows_in_place);
	tcase_add_test(t, arena__an_older_block_grows_by_copy);
	tcase_add_test(t, arena__growing_past_a_chunk_keeps_the_bytes);
	tcase_add_test(t, arena__growing_to_less_or_from_nothing);
	tcase_add_test(t, arena__an_empty_block_grows);
	tcase_add_test(t, arena__growing_beyond_the_limit_is_refused_and_the_block_stays);
	tcase_add_test(t, arena__strndup_ends_with_nul);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
