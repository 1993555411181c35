#include <stdlib.h>

#include "test/unit/proto/decode.h"

#define ROOMY (64UL << 20)

static struct arena arena = ARENA_INIT(ROOMY);

static void teardown(void)
{
	arena_release(&arena);
}

/* Text that compresses about as well as names do, or noise that does not. */
static struct bytes input(size_t len, bool noise)
{
	uint8_t *at = items(len, 1);
	uint32_t seed = 12345;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		at[i] = noise ? (uint8_t)(seed >> 24) : (uint8_t) "abcdefgh"[seed >> 30];
	}
	return (struct bytes){ at, len };
}

static void assert_round_trip(struct bytes in)
{
	struct bytes packed, out;

	ck_assert_int_eq(encode_gzip(&arena, in, &packed), 0);
	out = gunzip(packed);
	ck_assert_uint_eq(out.len, in.len);
	ck_assert_int_eq(memcmp(out.at, in.at, in.len), 0);
}

START_TEST(what_goes_in_comes_out)
{
	static const size_t len[] = { 0, 1, 100, 65535, 65536, 1UL << 20, 4UL << 20 };

	assert_round_trip(input(len[_i / 2], _i % 2));
}
END_TEST

START_TEST(text_gets_much_smaller)
{
	struct bytes packed;

	ck_assert_int_eq(encode_gzip(&arena, input(1UL << 20, false), &packed), 0);
	ck_assert_uint_lt(packed.len, 1UL << 19);
}
END_TEST

START_TEST(the_header_names_no_file_and_no_time)
{
	static const uint8_t start[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0 };
	struct bytes packed;

	ck_assert_int_eq(encode_gzip(&arena, input(100, false), &packed), 0);
	ck_assert_uint_gt(packed.len, sizeof(start));
	ck_assert_mem_eq(packed.at, start, sizeof(start));
}
END_TEST

START_TEST(the_same_input_gives_the_same_bytes)
{
	struct bytes one, two;

	ck_assert_int_eq(encode_gzip(&arena, input(10000, false), &one), 0);
	ck_assert_int_eq(encode_gzip(&arena, input(10000, false), &two), 0);
	ck_assert_uint_eq(one.len, two.len);
	ck_assert_mem_eq(one.at, two.at, one.len);
}
END_TEST

START_TEST(whatever_the_memory_it_ends_cleanly)
{
	struct bytes in = input(1UL << 20, true);
	int failures = 0, done = -1;

	for (size_t limit = 0; done != 0; limit += 16384) {
		struct arena small = ARENA_INIT(limit);
		struct bytes packed;

		ck_assert_uint_lt(limit, 4UL << 20);
		done = encode_gzip(&small, in, &packed);
		failures += done != 0;
		ck_assert_uint_le(small.mapped, limit);
		if (done == 0)
			ck_assert_uint_eq(gunzip(packed).len, in.len);
		arena_release(&small);
	}
	ck_assert_int_gt(failures, 3);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("gzip");
	Suite *suite = suite_create("gzip");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, what_goes_in_comes_out, 0, 14);
	tcase_add_test(tc, text_gets_much_smaller);
	tcase_add_test(tc, the_header_names_no_file_and_no_time);
	tcase_add_test(tc, the_same_input_gives_the_same_bytes);
	tcase_add_test(tc, whatever_the_memory_it_ends_cleanly);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
