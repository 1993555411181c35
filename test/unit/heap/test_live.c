#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/heap/live.h"

#define FIRST_LEVEL 4096
#define THREADS	    8

/* An address that no other number has, 16 bytes apart. */
static const void *block(uint64_t i)
{
	return (const void *)(0x7f0000000000 + i * 16);
}

static struct live_block content(uint64_t i)
{
	return (struct live_block){ .blocks = i * 3 + 1,
				    .bytes = i * 5 + 2,
				    .site = (struct site *)(i * 8 + 8) };
}

static void add(uint64_t i)
{
	ck_assert(live_add(block(i), content(i)));
}

static void expect_removed(uint64_t i)
{
	struct live_block out;

	ck_assert_msg(live_remove(block(i), &out), "block %lu was not there", i);
	ck_assert_uint_eq(out.blocks, content(i).blocks);
	ck_assert_uint_eq(out.bytes, content(i).bytes);
	ck_assert_ptr_eq(out.site, content(i).site);
}

static void expect_absent(const void *p)
{
	struct live_block out;

	ck_assert_msg(!live_remove(p, &out), "%p was there", p);
}

static uint64_t filter_sum(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < LIVE_FILTER_BYTES; i++)
		sum += reserve.live_filter[i];
	return sum;
}

static void sum_up(const struct live_block *b, void *sum)
{
	*(uint64_t *)sum += b->bytes;
}

START_TEST(each_block_is_visited)
{
	uint64_t sum = 0, expected = 0;

	for (uint64_t i = 0; i < 3 * FIRST_LEVEL; i++) {
		add(i);
		expected += content(i).bytes;
	}
	live_each(sum_up, &sum);
	ck_assert_uint_eq(sum, expected);
	for (uint64_t i = 0; i < 3 * FIRST_LEVEL; i++)
		expect_removed(i);
	sum = 0;
	live_each(sum_up, &sum);
	ck_assert_uint_eq(sum, 0);
}
END_TEST

START_TEST(nothing_is_in_an_empty_table)
{
	ck_assert(!live_maybe(block(1)));
	expect_absent(block(1));
	ck_assert_uint_eq(live_count(), 0);
}
END_TEST

START_TEST(a_block_is_taken_out_once_and_whole)
{
	add(1);
	ck_assert(live_maybe(block(1)));
	ck_assert_uint_eq(live_count(), 1);
	expect_absent(block(2));
	expect_removed(1);
	expect_absent(block(1));
	ck_assert(!live_maybe(block(1)));
	ck_assert_uint_eq(live_count(), 0);
}
END_TEST

START_TEST(an_address_added_twice_is_there_twice)
{
	struct live_block out;

	add(1);
	ck_assert(live_add(block(1), content(2)));
	ck_assert_uint_eq(live_count(), 2);
	ck_assert(live_remove(block(1), &out));
	ck_assert(live_maybe(block(1)));
	ck_assert(live_remove(block(1), &out));
	expect_absent(block(1));
	ck_assert_uint_eq(filter_sum(), 0);
}
END_TEST

/* free(NULL) comes here when a live block is in the first page of 4 GiB. */
START_TEST(null_is_never_in_the_table)
{
	const void *low_byte = (const void *)0x7f0100000010;

	ck_assert(live_add(low_byte, content(1)));
	ck_assert(live_maybe(NULL));
	expect_absent(NULL);
	ck_assert_uint_eq(live_count(), 1);
	ck_assert(live_maybe(low_byte));
}
END_TEST

/* Address 1 marks a slot that somebody is busy with: not a block either. */
START_TEST(the_mark_of_a_busy_slot_is_not_a_block)
{
	add(1);
	expect_absent((const void *)1);
	ck_assert_uint_eq(live_count(), 1);
}
END_TEST

/* Where live.c looks for an address in its first level, of 512 buckets. */
static uint64_t home(const void *p)
{
	return (uint64_t)p * 0x9e3779b97f4a7c15ULL >> 55;
}

/* Numbers of `n` blocks that all want the same bucket of the first level. */
static void same_home(uint64_t *found, size_t n)
{
	for (uint64_t i = 1, k = 0; k < n; i++) {
		if (home(block(i)) == 7)
			found[k++] = i;
	}
}

START_TEST(more_blocks_at_one_place_than_a_bucket_holds_go_to_the_next_levels)
{
	uint64_t numbers[100];

	same_home(numbers, ARRAY_SIZE(numbers));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		add(numbers[i]);
	ck_assert_uint_eq(live_count(), ARRAY_SIZE(numbers));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		expect_removed(numbers[i]);
	ck_assert_uint_eq(live_count(), 0);
	ck_assert_uint_eq(filter_sum(), 0);
}
END_TEST

START_TEST(the_place_of_a_block_taken_out_is_used_again)
{
	for (uint64_t i = 1; i <= 10 * FIRST_LEVEL; i++) {
		add(i);
		expect_removed(i);
	}
	ck_assert_uint_eq(live_count(), 0);
	ck_assert_uint_eq(counter_get(COUNTER_HEAP_LIVE_DROPPED), 0);
}
END_TEST

START_TEST(two_hundred_thousand_blocks_are_all_found_again)
{
	const uint64_t n = 200000;

	for (uint64_t i = 1; i <= n; i++)
		add(i * 37);
	ck_assert_uint_eq(live_count(), n);
	ck_assert_uint_eq(counter_get(COUNTER_HEAP_LIVE_DROPPED), 0);
	for (uint64_t i = 1; i <= n; i++)
		ck_assert(live_maybe(block(i * 37)));
	for (uint64_t i = n; i >= 1; i--)
		expect_removed(i * 37);
	ck_assert_uint_eq(live_count(), 0);
	ck_assert_uint_eq(filter_sum(), 0);
}
END_TEST

/* As a heap of 200 GB with a sample in 512 KiB has them: four blocks of 128 KiB. */
START_TEST(four_hundred_thousand_blocks_far_apart_all_have_room)
{
	for (uint64_t i = 1; i <= 400000; i++)
		add(i * 32771);
	ck_assert_uint_eq(live_count(), 400000);
	ck_assert_uint_eq(counter_get(COUNTER_HEAP_LIVE_DROPPED), 0);
	for (uint64_t i = 1; i <= 400000; i++)
		expect_removed(i * 32771);
	ck_assert_uint_eq(filter_sum(), 0);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_and_counted)
{
	uint64_t in = 0, refused = 0;

	for (uint64_t i = 1; i <= 2200000; i++) {
		if (live_add(block(i), content(i)))
			in++;
		else
			refused++;
	}
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_gt(in, 1000000);
	ck_assert_uint_eq(live_count(), in);
	ck_assert_uint_eq(counter_get(COUNTER_HEAP_LIVE_DROPPED), refused);
}
END_TEST

START_TEST(all_are_forgotten_and_the_filter_too)
{
	for (uint64_t i = 0; i < 10000; i++)
		add(i);
	live_take_all(NULL);
	ck_assert_uint_eq(live_count(), 0);
	ck_assert_uint_eq(filter_sum(), 0);
	add(1);
	expect_removed(1);
}
END_TEST

/* ---- the filter */

START_TEST(the_filter_says_no_for_other_places)
{
	add(1);
	ck_assert(!live_maybe((const char *)block(1) + 1024));
	ck_assert(!live_maybe((const char *)block(1) - 1024));
}
END_TEST

/* 4 GiB apart, so that all have the same byte of the filter. */
static const void *same_byte(uint64_t i)
{
	return (const void *)(0x7f0000000010 + (i << 32));
}

START_TEST(a_byte_of_the_filter_counts_up_to_254_blocks_and_back)
{
	struct live_block out;

	for (uint64_t i = 0; i < 254; i++)
		ck_assert(live_add(same_byte(i), content(i)));
	ck_assert_uint_eq(filter_sum(), 254);
	for (uint64_t i = 0; i < 254; i++) {
		ck_assert(live_maybe(same_byte(i)));
		ck_assert(live_remove(same_byte(i), &out));
	}
	ck_assert_uint_eq(filter_sum(), 0);
}
END_TEST

START_TEST(a_byte_of_the_filter_that_cannot_count_on_stays_up)
{
	struct live_block out;

	for (uint64_t i = 0; i < 256; i++)
		ck_assert(live_add(same_byte(i), content(i)));
	ck_assert_uint_eq(filter_sum(), 255);
	for (uint64_t i = 0; i < 256; i++)
		ck_assert(live_remove(same_byte(i), &out));
	ck_assert(live_maybe(same_byte(0)));
	ck_assert_uint_eq(live_count(), 0);
}
END_TEST

/* ---- threads */

static atomic_uint lost;

/* Half of the blocks of a place, so that the filter can count them. */
static uint64_t own(uint64_t i, uint64_t me)
{
	return ((i % 4096) * THREADS + me) * 2;
}

/* Adds and takes out its own addresses, at most 500 at a time, in the places of all the others. */
static void *churn(void *arg)
{
	uint64_t me = (uint64_t)arg;
	struct live_block out;

	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t now = own(i, me), old = own(i - 500, me);

		if (i >= 500 && (!live_maybe(block(old)) || !live_remove(block(old), &out) ||
				 out.bytes != content(old).bytes))
			atomic_fetch_add(&lost, 1);
		if (!live_add(block(now), content(now)))
			atomic_fetch_add(&lost, 1);
		if (!live_maybe(block(now)))
			atomic_fetch_add(&lost, 1);
	}
	return NULL;
}

START_TEST(threads_that_add_and_remove_at_once_lose_nothing)
{
	pthread_t thread[THREADS];

	for (uint64_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, churn, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(lost, 0);
	ck_assert_uint_eq(live_count(), THREADS * 500);
	for (uint64_t i = 99500; i < 100000; i++) {
		for (uint64_t me = 0; me < THREADS; me++)
			expect_removed(own(i, me));
	}
	ck_assert_uint_eq(live_count(), 0);
	ck_assert_uint_eq(filter_sum(), 0);
}
END_TEST

static pthread_barrier_t barrier;
static atomic_uint taken;

static void *take_all(void *arg)
{
	struct live_block out;

	(void)arg;
	pthread_barrier_wait(&barrier);
	for (uint64_t i = 1; i <= 10000; i++)
		taken += live_remove(block(i), &out);
	return NULL;
}

START_TEST(of_threads_that_want_the_same_block_one_gets_it)
{
	pthread_t thread[THREADS];

	for (uint64_t i = 1; i <= 10000; i++)
		add(i);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, take_all, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(taken, 10000);
	ck_assert_uint_eq(live_count(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("live");
	TCase *tc = tcase_create("live");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, nothing_is_in_an_empty_table);
	tcase_add_test(tc, each_block_is_visited);
	tcase_add_test(tc, a_block_is_taken_out_once_and_whole);
	tcase_add_test(tc, an_address_added_twice_is_there_twice);
	tcase_add_test(tc, null_is_never_in_the_table);
	tcase_add_test(tc, the_mark_of_a_busy_slot_is_not_a_block);
	tcase_add_test(tc, more_blocks_at_one_place_than_a_bucket_holds_go_to_the_next_levels);
	tcase_add_test(tc, the_place_of_a_block_taken_out_is_used_again);
	tcase_add_test(tc, two_hundred_thousand_blocks_are_all_found_again);
	tcase_add_test(tc, four_hundred_thousand_blocks_far_apart_all_have_room);
	tcase_add_test(tc, what_does_not_fit_is_refused_and_counted);
	tcase_add_test(tc, all_are_forgotten_and_the_filter_too);
	tcase_add_test(tc, the_filter_says_no_for_other_places);
	tcase_add_test(tc, a_byte_of_the_filter_counts_up_to_254_blocks_and_back);
	tcase_add_test(tc, a_byte_of_the_filter_that_cannot_count_on_stays_up);
	tcase_add_test(tc, threads_that_add_and_remove_at_once_lose_nothing);
	tcase_add_test(tc, of_threads_that_want_the_same_block_one_gets_it);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
