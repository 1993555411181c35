#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/permanent.h"

#define FIRST	(64UL << 10)
#define CHUNK	(256UL << 10)
#define THREADS 8

START_TEST(memory_is_zeroed_and_aligned)
{
	struct permanent p = { .limit = 1 << 20 };

	for (size_t bytes = 1; bytes < 1000; bytes += 7) {
		static const char zeros[1000];
		char *at = permanent_alloc(&p, bytes);

		ck_assert_ptr_nonnull(at);
		ck_assert_uint_eq((uintptr_t)at % 8, 0);
		ck_assert_mem_eq(at, zeros, bytes);
		memset(at, 0xff, bytes);
	}
}
END_TEST

START_TEST(nothing_is_mapped_before_the_first_request)
{
	struct permanent p = { .limit = 1 << 20 };

	ck_assert_uint_eq(p.mapped, 0);
	permanent_alloc(&p, 8);
	ck_assert_uint_eq(p.mapped, FIRST);
	for (size_t i = 0; i < FIRST / 8; i++)
		permanent_alloc(&p, 8);
	ck_assert_uint_eq(p.mapped, FIRST + CHUNK);
}
END_TEST

START_TEST(beyond_the_limit_requests_are_refused_and_counted)
{
	struct permanent p = { .limit = FIRST + 4 * CHUNK };
	uint64_t refused = counter_get(COUNTER_ARENA_REFUSED);
	size_t got = 0;

	while (permanent_alloc(&p, 1000))
		got++;
	ck_assert_uint_ge(got, 4 * (CHUNK / 1000 - 1));
	ck_assert_uint_le(got, (FIRST + 4 * CHUNK) / 1000);
	ck_assert_uint_eq(p.mapped, FIRST + 4 * CHUNK);
	ck_assert_uint_eq(counter_get(COUNTER_ARENA_REFUSED), refused + 1);
	for (int i = 0; i < 1000; i++)
		ck_assert_ptr_null(permanent_alloc(&p, 1000));
	ck_assert_uint_eq(p.mapped, FIRST + 4 * CHUNK);
}
END_TEST

START_TEST(a_limit_below_a_chunk_gives_nothing)
{
	struct permanent p = { .limit = FIRST - 1 };

	ck_assert_ptr_null(permanent_alloc(&p, 8));
	ck_assert_uint_eq(p.mapped, 0);
}
END_TEST

START_TEST(more_than_a_chunk_is_refused)
{
	struct permanent p = { .limit = 1 << 30 };

	ck_assert_ptr_null(permanent_alloc(&p, CHUNK));
	ck_assert_ptr_null(permanent_alloc(&p, CHUNK * 10));
	ck_assert_ptr_nonnull(permanent_alloc(&p, CHUNK / 2));
}
END_TEST

/* ---- threads */

#define BLOCKS 20000

struct worker {
	pthread_t thread;
	uint64_t *block[BLOCKS]; /* each holds its owner's number and its own */
	size_t bytes;		 /* in them all */
};

static struct permanent shared = { .limit = 16 << 20 };
static struct worker worker[THREADS];

static size_t size_of(size_t i)
{
	return 16 + i % 13 * 8;
}

static void *take_many(void *arg)
{
	struct worker *w = arg;

	for (size_t i = 0; i < BLOCKS; i++) {
		uint64_t *b = permanent_alloc(&shared, size_of(i));

		if (!b)
			break;
		ck_assert(b[0] == 0 && b[1] == 0);
		b[0] = (uint64_t)(w - worker) + 1;
		b[1] = i;
		w->block[i] = b;
		w->bytes += size_of(i);
	}
	return NULL;
}

START_TEST(blocks_of_threads_do_not_overlap_and_stay_within_the_limit)
{
	size_t bytes = 0;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&worker[i].thread, NULL, take_many, &worker[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(worker[i].thread, NULL);
	for (size_t t = 0; t < THREADS; t++) {
		for (size_t i = 0; i < BLOCKS && worker[t].block[i]; i++) {
			ck_assert_uint_eq(worker[t].block[i][0], t + 1);
			ck_assert_uint_eq(worker[t].block[i][1], i);
		}
		bytes += worker[t].bytes;
	}
	ck_assert_uint_le(shared.mapped, shared.limit);
	ck_assert_uint_ge(bytes, (size_t)THREADS * BLOCKS * 60);
	/* what is mapped is used, but for the ends of chunks */
	ck_assert_uint_le(shared.mapped, bytes + bytes / 50 + CHUNK);
}
END_TEST

static struct permanent tight;
static pthread_barrier_t all_there;
static atomic_int refused;

static void *take_one(void *unused)
{
	pthread_barrier_wait(&all_there);
	refused += !permanent_alloc(&tight, 16);
	return unused;
}

/* One chunk is all there may be, and all there is need for. */
START_TEST(threads_that_come_first_at_once_do_not_refuse_each_other)
{
	pthread_t thread[16];

	pthread_barrier_init(&all_there, NULL, 16);
	for (int round = 0; round < 300; round++) {
		tight = (struct permanent){ .limit = FIRST };
		for (int i = 0; i < 16; i++)
			pthread_create(&thread[i], NULL, take_one, NULL);
		for (int i = 0; i < 16; i++)
			pthread_join(thread[i], NULL);
	}
	ck_assert_int_eq(refused, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("permanent");
	TCase *tc = tcase_create("permanent");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, memory_is_zeroed_and_aligned);
	tcase_add_test(tc, nothing_is_mapped_before_the_first_request);
	tcase_add_test(tc, beyond_the_limit_requests_are_refused_and_counted);
	tcase_add_test(tc, a_limit_below_a_chunk_gives_nothing);
	tcase_add_test(tc, more_than_a_chunk_is_refused);
	tcase_add_test(tc, blocks_of_threads_do_not_overlap_and_stay_within_the_limit);
	tcase_add_test(tc, threads_that_come_first_at_once_do_not_refuse_each_other);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
