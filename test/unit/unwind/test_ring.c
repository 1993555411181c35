/* The ring between handlers and listener: whole records, in order, or none. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/unwind/ring.h"

#define RING_BYTES 4096UL
#define HEADER	   16UL /* in front of each record */

static struct ring ring;

static void setup(void)
{
	ck_assert_int_eq(ring_init(&ring, RING_BYTES), 0);
}

static void teardown(void)
{
	ck_assert_ptr_null(ring_check(&ring));
	ring_release(&ring);
}

/* Adds a record of `len` bytes, all of them `fill`. */
static bool put(size_t len, int fill)
{
	void *p = ring_reserve(&ring, len);

	if (!p)
		return false;
	memset(p, fill, len);
	ring_commit(p);
	return true;
}

static void expect_front(size_t len, int fill)
{
	const uint8_t *p = ring_front(&ring);

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(p[i], fill);
	ring_pop(&ring);
}

START_TEST(ring__an_empty_ring_has_no_front)
{
	ck_assert_ptr_null(ring_front(&ring));
}
END_TEST

/* A handler that faults waits for the kernel to clear a page: longer than all it does itself. */
START_TEST(ring__what_is_used_before_a_rewind_can_be_mapped_beforehand)
{
	struct ring large;
	unsigned char resident[64];

	ck_assert_int_eq(ring_init(&large, sizeof(resident) * PAGE_BYTES), 0);
	ring_touch(&large, UINT64_MAX);
	ck_assert_int_eq(mincore(large.bytes, large.size, resident), 0);
	for (size_t i = 0; i < sizeof(resident); i++)
		ck_assert_int_eq(resident[i] & 1, i < sizeof(resident) / 4);
	ck_assert_ptr_null(ring_front(&large));
	ring_release(&large);
}
END_TEST

START_TEST(ring__records_come_out_in_order)
{
	for (int i = 1; i <= 10; i++)
		ck_assert(put((size_t)i * 7, i));
	for (int i = 1; i <= 10; i++)
		expect_front((size_t)i * 7, i);
	ck_assert_ptr_null(ring_front(&ring));
}
END_TEST

START_TEST(ring__front_is_the_same_until_it_is_popped)
{
	void *first;

	put(8, 1);
	put(8, 2);
	first = ring_front(&ring);
	ck_assert_ptr_eq(ring_front(&ring), first);
	ring_pop(&ring);
	ck_assert_ptr_ne(ring_front(&ring), first);
}
END_TEST

START_TEST(ring__records_are_aligned_and_zeroed_on_every_lap)
{
	for (size_t i = 0; i < 1000; i++) {
		size_t len = i * 37 % 700;
		uint8_t *p = ring_reserve(&ring, len);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % 16, 0);
		for (size_t k = 0; k < len; k++)
			ck_assert_int_eq(p[k], 0);
		memset(p, 0xff, len);
		ring_commit(p);
		ck_assert_ptr_eq(ring_front(&ring), p);
		ring_pop(&ring);
	}
}
END_TEST

START_TEST(ring__a_record_never_wraps)
{
	for (int i = 0; i < 200; i++) {
		uint8_t *p = ring_reserve(&ring, 900);

		ck_assert_ptr_nonnull(p);
		ck_assert(p >= ring.bytes);
		ck_assert(p + 900 <= ring.bytes + RING_BYTES);
		memset(p, i, 900);
		ring_commit(p);
		expect_front(900, i & 0xff);
	}
}
END_TEST

START_TEST(ring__not_committed_holds_back_what_is_behind_it)
{
	void *slow = ring_reserve(&ring, 32);

	put(32, 2);
	ck_assert_ptr_null(ring_front(&ring));
	memset(slow, 1, 32);
	ring_commit(slow);
	expect_front(32, 1);
	expect_front(32, 2);
}
END_TEST

START_TEST(ring__a_full_ring_refuses_and_later_works_again)
{
	int n = 0;

	while (put(500, n))
		n++;
	ck_assert_int_ge(n, 7);
	ck_assert(!put(500, 0));
	expect_front(500, 0);
	expect_front(500, 1);
	ck_assert(put(500, n));
	for (int i = 2; i <= n; i++)
		expect_front(500, i);
	ck_assert_ptr_null(ring_front(&ring));
}
END_TEST

START_TEST(ring__a_full_ring_still_takes_what_fits)
{
	while (put(500, 1))
		;
	ck_assert(put(1, 2));
}
END_TEST

START_TEST(ring__can_be_filled_to_the_last_byte)
{
	for (int lap = 0; lap < 3; lap++) {
		for (int i = 0; i < 4; i++)
			ck_assert(put(RING_BYTES / 4 - HEADER, i));
		ck_assert(!put(0, 0));
		for (int i = 0; i < 4; i++)
			expect_front(RING_BYTES / 4 - HEADER, i);
	}
}
END_TEST

START_TEST(ring__refuses_more_than_a_quarter)
{
	ck_assert(put(RING_BYTES / 4 - HEADER, 1));
	ck_assert(!put(RING_BYTES / 4 - HEADER + 1, 1));
	ck_assert(!put(RING_BYTES, 1));
	ck_assert(!put(SIZE_MAX / 2, 1));
}
END_TEST

START_TEST(ring__a_refused_record_leaves_nothing_behind)
{
	while (put(500, 1))
		;
	for (int i = 0; i < 100; i++)
		put(500, 1);
	while (ring_front(&ring))
		ring_pop(&ring);
	ck_assert_uint_eq(ring.head, ring.tail);
}
END_TEST

START_TEST(ring__released_twice_is_released)
{
	ring_release(&ring);
	ring_release(&ring);
	ck_assert_ptr_null(ring.bytes);
}
END_TEST

/* ---- many producers */

#define PRODUCERS 4
#define RECORDS	  40000
#define BYTES_MAX 600

struct record {
	uint32_t producer, number;
	uint32_t len; /* of bytes */
	uint32_t sum;
	uint8_t bytes[];
};

static atomic_int running;

static uint32_t sum_of(const struct record *r)
{
	uint32_t sum = r->producer * 31 + r->number * 17 + r->len;

	for (uint32_t i = 0; i < r->len; i++)
		sum = sum * 33 + r->bytes[i];
	return sum;
}

static bool put_record(uint32_t producer, uint32_t number)
{
	uint32_t len = (number * 7919 + producer * 13) % BYTES_MAX;
	struct record *r = ring_reserve(&ring, sizeof(*r) + len);

	if (!r)
		return false;
	r->producer = producer;
	r->number = number;
	r->len = len;
	memset(r->bytes, (int)(number ^ producer), len);
	r->sum = sum_of(r);
	ring_commit(r);
	return true;
}

static void *produce(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;

	for (uint32_t i = 0; i < RECORDS;) {
		if (put_record(me, i))
			i++;
		else
			sched_yield();
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* Takes one record; each producer's come in order, as each waits for its own to fit. */
static bool consume(uint32_t next[PRODUCERS])
{
	const struct record *r = ring_front(&ring);

	if (!r)
		return false;
	ck_assert_uint_lt(r->producer, PRODUCERS);
	ck_assert_uint_eq(r->number, next[r->producer]);
	ck_assert_uint_eq(r->sum, sum_of(r));
	next[r->producer]++;
	ring_pop(&ring);
	return true;
}

START_TEST(ring__many_producers_lose_tear_and_reorder_nothing)
{
	pthread_t thread[PRODUCERS];
	uint32_t next[PRODUCERS] = { 0 };

	atomic_store(&running, PRODUCERS);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		pthread_create(&thread[i], NULL, produce, (void *)i);
	while (atomic_load(&running) || ring_front(&ring)) {
		if (!consume(next))
			sched_yield();
	}
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(thread[i], NULL);
		ck_assert_uint_eq(next[i], RECORDS);
	}
	ck_assert_uint_eq(ring.head, ring.tail);
}
END_TEST

/* ---- forks */

/* Most of its time is spent between reservation and commit, where a fork is to find it. */
static void put_slowly(size_t len, int fill)
{
	volatile uint8_t *p = ring_reserve(&ring, len);

	for (size_t i = 0; p && i < len * 20; i++)
		p[i % len] = (uint8_t)fill;
	if (p)
		ring_commit((void *)(uintptr_t)p);
}

static void *produce_always(void *fill)
{
	while (atomic_load(&running))
		put_slowly(8 + (size_t)fill * 40, (int)(size_t)fill);
	return NULL;
}

static void *consume_always(void *unused)
{
	while (atomic_load(&running)) {
		if (ring_front(&ring))
			ring_pop(&ring);
	}
	return unused;
}

/* Every record's bytes are all the same, as put() made them. */
static bool is_whole(const uint8_t *p)
{
	for (size_t i = 1; i < 8 + (size_t)p[0] * 40; i++) {
		if (p[i] != p[0])
			return false;
	}
	return p[0] >= 1 && p[0] <= 4;
}

static int status_after_mending(void)
{
	const uint8_t *p;

	ring_mend(&ring);
	while ((p = ring_front(&ring))) {
		if (!is_whole(p))
			return 2;
		ring_pop(&ring);
	}
	if (ring_used(&ring))
		return 3;
	for (int i = 0; i < 100; i++) {
		if (!put(100, 9))
			return 4;
		p = ring_front(&ring);
		if (!p || p[0] != 9 || p[99] != 9)
			return 5;
		ring_pop(&ring);
	}
	return 0;
}

/* Against a ring that is not mended: 3, at nearly every fork. */
START_TEST(ring__a_fork_at_any_moment_leaves_whole_records)
{
	pthread_t thread[5];

	teardown();
	ck_assert_int_eq(ring_init_kept(&ring, RING_BYTES), 0);
	atomic_store(&running, true);
	for (size_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, produce_always, (void *)(i + 1));
	pthread_create(&thread[4], NULL, consume_always, NULL);
	for (int i = 0; i < 150; i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			_exit(status_after_mending());
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	atomic_store(&running, false);
	for (int i = 0; i < 5; i++)
		pthread_join(thread[i], NULL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ring");
	Suite *s = suite_create("ring");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, ring__an_empty_ring_has_no_front);
	tcase_add_test(t, ring__records_come_out_in_order);
	tcase_add_test(t, ring__what_is_used_before_a_rewind_can_be_mapped_beforehand);
	tcase_add_test(t, ring__front_is_the_same_until_it_is_popped);
	tcase_add_test(t, ring__records_are_aligned_and_zeroed_on_every_lap);
	tcase_add_test(t, ring__a_record_never_wraps);
	tcase_add_test(t, ring__not_committed_holds_back_what_is_behind_it);
	tcase_add_test(t, ring__a_full_ring_refuses_and_later_works_again);
	tcase_add_test(t, ring__a_full_ring_still_takes_what_fits);
	tcase_add_test(t, ring__can_be_filled_to_the_last_byte);
	tcase_add_test(t, ring__refuses_more_than_a_quarter);
	tcase_add_test(t, ring__a_refused_record_leaves_nothing_behind);
	tcase_add_test(t, ring__released_twice_is_released);
	tcase_add_test(t, ring__many_producers_lose_tear_and_reorder_nothing);
	tcase_add_test(t, ring__a_fork_at_any_moment_leaves_whole_records);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
