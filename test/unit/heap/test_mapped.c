/* Ranges that go in pieces: nothing is lost and nothing is there twice. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/counters.h"
#include "sampler/heap/mapped.h"

#define PAGE  4096UL
#define START 0x7f0000000000UL

static struct site site = { .depth = 1 }, other = { .depth = 1 };
static uint64_t freed_bytes, freed_blocks;
static int ended;

static void freed(struct live_block part, bool is_last)
{
	freed_bytes += part.bytes;
	freed_blocks += part.blocks;
	ended += is_last;
}

static void sum_up(const struct live_block *b, void *sum)
{
	*(uint64_t *)sum += b->bytes;
}

static uint64_t there(void)
{
	uint64_t sum = 0;

	mapped_each(sum_up, &sum);
	return sum;
}

static void setup(void)
{
	mapped_cut(0, UINT64_MAX, UINT64_MAX, freed);
	freed_bytes = freed_blocks = 0;
	ended = 0;
}

static void add(uint64_t page, uint64_t pages, struct site *s)
{
	struct live_block block = { .blocks = 7, .bytes = 10 * pages * PAGE, .site = s };

	ck_assert(mapped_add(START + page * PAGE, pages * PAGE, block));
}

static void cut(uint64_t page, uint64_t pages)
{
	mapped_cut(START + page * PAGE, pages * PAGE, mapped_now(), freed);
}

static void expect(uint64_t pages_there, uint64_t pages_freed, uint64_t blocks)
{
	ck_assert_uint_eq(there(), 10 * pages_there * PAGE);
	ck_assert_uint_eq(freed_bytes, 10 * pages_freed * PAGE);
	ck_assert_uint_eq(freed_blocks, blocks);
}

START_TEST(mapped__whole)
{
	add(0, 8, &site);
	cut(8, 4);
	expect(8, 0, 0);
	cut(0, 8);
	expect(0, 8, 7);
	ck_assert_int_eq(ended, 1);
}
END_TEST

START_TEST(mapped__in_pieces)
{
	add(0, 8, &site);
	cut(0, 1);
	expect(7, 1, 0);
	cut(7, 1);
	expect(6, 2, 0);
	cut(3, 2); /* a hole */
	expect(4, 4, 0);
	ck_assert_int_eq(ended, 0);
	cut(5, 2);
	expect(2, 6, 0);
	cut(0, 100);
	expect(0, 8, 7);
	ck_assert_int_eq(ended, 1);
}
END_TEST

START_TEST(mapped__several_at_once)
{
	add(0, 4, &site);
	add(4, 4, &other);
	add(8, 4, &site);
	cut(2, 8);
	expect(4, 8, 7);
	cut(0, 12);
	expect(0, 12, 21);
}
END_TEST

/* Between a call and what is told of it, another thread may have got the same addresses. */
START_TEST(mapped__what_is_newer_stays)
{
	uint64_t since = mapped_now();

	add(0, 4, &site);
	mapped_cut(START, 4 * PAGE, since, freed);
	expect(4, 0, 0);
}
END_TEST

START_TEST(mapped__no_room)
{
	struct live_block block = { .blocks = 1, .bytes = 1, .site = &site };

	for (uint64_t i = 0; i < MAPPED_MAX; i++)
		add(2 * i, 1, &site);
	ck_assert(!mapped_add(START - PAGE, PAGE, block));
	cut(0, 1);
	add(0, 1, &site);
	cut(0, 2 * MAPPED_MAX);
	ck_assert_uint_eq(there(), 0);
}
END_TEST

/* With a hole in a full table the rest of the mapping is given up, not the count. */
START_TEST(mapped__a_hole_without_room)
{
	for (uint64_t i = 0; i < MAPPED_MAX; i++)
		add(4 * i, 3, &site);
	cut(1, 1);
	expect(3 * MAPPED_MAX - 2, 2, 0);
}
END_TEST

START_TEST(mapped__the_sum_is_kept)
{
	uint64_t added = 0;

	srandom(1);
	for (int i = 0; i < 3000; i++) {
		uint64_t page = (uint64_t)random() % 1000, pages = 1 + (uint64_t)random() % 20;

		cut(page, pages);
		if (random() % 2) {
			add(page, pages, &site);
			added += 10 * pages * PAGE;
		}
		ck_assert_uint_eq(there() + freed_bytes, added);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("mapped");
	Suite *s = suite_create("mapped");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(t, mapped_init, NULL);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, mapped__whole);
	tcase_add_test(t, mapped__in_pieces);
	tcase_add_test(t, mapped__several_at_once);
	tcase_add_test(t, mapped__what_is_newer_stays);
	tcase_add_test(t, mapped__no_room);
	tcase_add_test(t, mapped__a_hole_without_room);
	tcase_add_test(t, mapped__the_sum_is_kept);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
