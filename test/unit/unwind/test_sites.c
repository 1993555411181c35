#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/process/label_set.h"
#include "sampler/unwind/sites.h"
#include "sampler/unwind/stacks.h"

#define THREADS 8

SITE_TABLE(table, 32UL << 20, COUNTER_HEAP_STACK_TABLE_FULL, COUNTER_HEAP_STACKS_UNKNOWN);

/* Stack number `i` of a family of different ones. */
static struct site *numbered(uint64_t i, uint32_t depth)
{
	uint64_t pc[SITE_DEPTH_MAX];

	for (uint32_t k = 0; k < depth; k++)
		pc[k] = 0x400000 + k * 64;
	pc[depth / 2] += i << 20;
	return site_of(&table, pc, depth);
}

struct sum {
	size_t records, unresolved;
	uint64_t events;
};

static void add_up(struct site *s, void *arg)
{
	struct sum *sum = arg;

	sum->records++;
	sum->unresolved += s->depth == 0;
	sum->events += site_get(s, 0);
}

static struct sum sum_of_all(void)
{
	struct sum sum = { 0 };

	sites_each(&table, add_up, &sum);
	return sum;
}

START_TEST(there_are_no_records_at_first)
{
	ck_assert_uint_eq(sum_of_all().records, 0);
}
END_TEST

START_TEST(a_new_record_holds_its_stack_and_zeros)
{
	const uint64_t pc[] = { 0x1000, 0x2000, 0x3000 };
	struct site *s = site_of(&table, pc, 3);

	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(s->depth, 3);
	ck_assert_mem_eq(s->frame, pc, sizeof(pc));
	ck_assert_ptr_null(s->resolved);
	for (int i = 0; i < SITE_TOTALS_MAX; i++)
		ck_assert_uint_eq(site_get(s, i), 0);
}
END_TEST

START_TEST(the_same_stack_is_the_same_record)
{
	struct site *s = numbered(1, 20);

	ck_assert_ptr_eq(numbered(1, 20), s);
	ck_assert_uint_eq(sum_of_all().records, 1);
}
END_TEST

START_TEST(stacks_that_differ_in_one_frame_or_depth_are_different)
{
	const uint64_t pc[] = { 0x1000, 0x2000, 0x3000 }, last[] = { 0x1000, 0x2000, 0x3001 };
	struct site *s[] = { site_of(&table, pc, 3), site_of(&table, last, 3),
			     site_of(&table, pc, 2), site_of(&table, pc + 1, 2) };

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_ptr_ne(s[i], s[k]);
	ck_assert_uint_eq(sum_of_all().records, 4);
}
END_TEST

START_TEST(the_deepest_stack_is_kept_whole)
{
	struct site *s = numbered(5, SITE_DEPTH_MAX);

	ck_assert_uint_eq(s->depth, SITE_DEPTH_MAX);
	ck_assert_ptr_eq(numbered(5, SITE_DEPTH_MAX), s);
}
END_TEST

START_TEST(many_stacks_are_all_found_again)
{
	static struct site *s[10000];

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = numbered(i, 10);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		ck_assert_ptr_eq(numbered(i, 10), s[i]);
	ck_assert_uint_eq(sum_of_all().records, ARRAY_SIZE(s));
	ck_assert_uint_eq(counter_get(COUNTER_HEAP_STACK_TABLE_FULL), 0);
}
END_TEST

START_TEST(at_the_limit_of_memory_new_stacks_are_the_other_stacks)
{
	struct site *first = numbered(0, 100), *other = NULL;
	uint64_t folded = 0, i = 0;

	while (counter_get(COUNTER_HEAP_STACK_TABLE_FULL) == 0) {
		other = numbered(++i, 100);
		ck_assert_ptr_nonnull(other);
		ck_assert_uint_lt(i, 100000);
	}
	folded = counter_get(COUNTER_HEAP_STACK_TABLE_FULL);
	ck_assert_uint_gt(i, 30000);
	ck_assert_uint_eq(other->depth, 1);
	ck_assert_uint_eq(other->frame[0], PSEUDO_OTHER);
	ck_assert_ptr_eq(numbered(++i, 100), other);
	ck_assert_ptr_eq(numbered(++i, 100), other);
	ck_assert_uint_eq(counter_get(COUNTER_HEAP_STACK_TABLE_FULL), folded + 2);
	ck_assert_ptr_eq(numbered(0, 100), first);
	ck_assert_uint_eq(sum_of_all().records, i - 1); /* numbers 0 to i - 3, and the one */
}
END_TEST

/* ---- stacks that are not known yet */

START_TEST(many_stacks_with_labels_go_without)
{
	uint64_t pc[] = { 0x400000, 0x500000, FRAME_OF_LABELS };
	struct site *first = site_of(&table, pc, 3);

	ck_assert_uint_eq(first->depth, 3);
	for (uint64_t i = 1; i < 2 * SITES_LABELLED_MAX; i++) {
		pc[0]++;
		ck_assert_uint_eq(site_of(&table, pc, 3)->depth, i < SITES_LABELLED_MAX ? 3 : 2);
	}
	ck_assert_ptr_eq(site_of(&table, pc, 3), site_of(&table, pc, 2));
	pc[0] = 0x400000;
	ck_assert_ptr_eq(site_of(&table, pc, 3), first);
}
END_TEST

START_TEST(unresolved_records_are_each_their_own)
{
	struct site *a = site_unresolved(&table), *b = site_unresolved(&table);

	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_ne(a, b);
	ck_assert_uint_eq(a->depth, 0);
	ck_assert_uint_eq(sum_of_all().unresolved, 2);
}
END_TEST

START_TEST(a_resolved_record_keeps_its_totals_and_names_the_other)
{
	struct site *s = site_unresolved(&table), *known = numbered(1, 5);

	site_add(s, 0, 3);
	site_add(known, 0, 4);
	ck_assert_ptr_null(s->resolved);
	site_resolve(s, known);
	ck_assert_ptr_eq(s->resolved, known);
	ck_assert_ptr_null(known->resolved);
	ck_assert_uint_eq(sum_of_all().events, 7);
}
END_TEST

START_TEST(what_begins_anew_has_the_same_records_and_zeros)
{
	struct site *s = numbered(1, 3), *unresolved = site_unresolved(&table);

	site_add(s, 1, 5);
	site_add(unresolved, 0, 7);
	sites_begin_anew(&table);
	ck_assert_ptr_eq(numbered(1, 3), s);
	ck_assert_uint_eq(site_get(s, 1) + site_get(unresolved, 0), 0);
}
END_TEST

START_TEST(records_that_nobody_has_are_used_again)
{
	struct site *known = numbered(1, 5), *s[3];

	for (int i = 0; i < 3; i++) {
		s[i] = site_unresolved(&table);
		site_add(s[i], 0, 1);
	}
	site_resolve(s[0], known);
	site_release(s[1]);
	sites_settle(&table);
	ck_assert_uint_eq(sum_of_all().unresolved, 3);
	site_release(s[0]);
	site_resolve(s[2], known);
	site_release(s[2]);
	sites_settle(&table);
	ck_assert_uint_eq(sum_of_all().unresolved, 1);
	ck_assert_uint_eq(site_get(known, 0), 2);
	ck_assert_uint_eq(sum_of_all().events, 3);
	site_release(known); /* of a stack it means nothing */
	for (int i = 0; i < 2; i++) {
		struct site *again = site_unresolved(&table);

		ck_assert(again == s[0] || again == s[2]);
		ck_assert_ptr_null(again->resolved);
		ck_assert_uint_eq(site_get(again, 0), 0);
	}
}
END_TEST

/* ---- threads */

#define STACKS 500
#define ROUNDS 200

static pthread_barrier_t barrier;

static void *count_all(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
	for (uint64_t k = 0; k < ROUNDS; k++) {
		for (uint64_t i = 0; i < STACKS; i++) {
			site_add(numbered(i, 10), 0, 1);
		}
		site_add(site_unresolved(&table), 0, 1);
	}
	return NULL;
}

static void count_by_stack(struct site *s, void *arg)
{
	uint64_t *sum = arg;

	if (s->depth)
		sum[(s->frame[5] - 0x400000) >> 20] += site_get(s, 0);
}

START_TEST(sums_of_threads_that_add_the_same_stacks_are_exact)
{
	pthread_t thread[THREADS];
	uint64_t sum[STACKS] = { 0 };

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, count_all, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	sites_each(&table, count_by_stack, sum);
	for (size_t i = 0; i < STACKS; i++)
		ck_assert_uint_eq(sum[i], THREADS * ROUNDS);
	ck_assert_uint_eq(sum_of_all().unresolved, THREADS * ROUNDS);
	ck_assert_uint_eq(sum_of_all().events, THREADS * ROUNDS * (STACKS + 1));
}
END_TEST

#define HANDED 64 /* on their way at a time, of each thread */

static struct site *_Atomic handed[THREADS][HANDED];
static atomic_int producing;

static void *produce(void *arg)
{
	struct site *_Atomic *mine = arg;

	for (int i = 0; i < 10000;) {
		struct site *s = site_unresolved(&table);

		if (!s) {
			sched_yield();
			continue;
		}
		site_add(s, 0, 1);
		while (atomic_load(&mine[i % HANDED]))
			sched_yield();
		atomic_store(&mine[i % HANDED], s);
		site_add(s, 1, 1);
		site_release(s);
		i++;
	}
	atomic_fetch_sub(&producing, 1);
	return NULL;
}

/* More in all than there may be at a time; this thread is the listener. */
START_TEST(records_go_round_between_threads_and_listener)
{
	struct site *known = numbered(1, 5);
	pthread_t thread[THREADS];
	bool more = true;

	atomic_store(&producing, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, produce, handed[i]);
	while (more) {
		more = atomic_load(&producing) > 0;
		for (int i = 0; i < THREADS * HANDED; i++) {
			struct site *s = atomic_load(&handed[i / HANDED][i % HANDED]);

			if (!s)
				continue;
			site_resolve(s, known);
			atomic_store(&handed[i / HANDED][i % HANDED], NULL);
		}
		sites_settle_some(&table);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	sites_settle(&table);
	ck_assert_uint_eq(sum_of_all().unresolved, 0);
	ck_assert_uint_eq(site_get(known, 0), THREADS * 10000);
	ck_assert_uint_eq(site_get(known, 1), THREADS * 10000);
}
END_TEST

/* Blocks that live, whose stacks the listener had to find. */
#define LIVE 1000

START_TEST(settling_costs_what_is_new)
{
	struct site *known = numbered(1, 5), *live[LIVE], *one;

	for (int i = 0; i < LIVE; i++) {
		live[i] = site_unresolved(&table);
		site_add(live[i], 0, 1);
		site_resolve(live[i], known);
	}
	ck_assert_uint_ge(sites_settle_some(&table), LIVE);
	ck_assert_uint_eq(sites_settle_some(&table), 0);
	one = site_unresolved(&table);
	ck_assert_uint_le(sites_settle_some(&table), 3);
	site_resolve(one, known);
	ck_assert_uint_le(sites_settle_some(&table), 3);
	ck_assert_uint_eq(sum_of_all().unresolved, LIVE + 1);
	ck_assert_uint_eq(sum_of_all().events, LIVE);
	for (int i = 0; i < LIVE; i++)
		site_release(live[i]);
	sites_settle(&table);
	ck_assert_uint_eq(sum_of_all().unresolved, 1);
	ck_assert_uint_eq(site_get(known, 0), LIVE);
}
END_TEST

/* Each that comes finds the way back for one that is free. */
START_TEST(what_is_free_among_the_held_comes_back)
{
	struct site *known = numbered(1, 5), *s[2] = { NULL };

	for (int i = 0; i < 100000; i++) {
		struct site *now = site_unresolved(&table);

		ck_assert_ptr_nonnull(now);
		site_resolve(now, known);
		sites_settle_some(&table);
		if (s[i % 2])
			site_release(s[i % 2]);
		s[i % 2] = now;
	}
	ck_assert_uint_lt(sum_of_all().unresolved, 10);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sites");
	TCase *tc = tcase_create("sites");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, there_are_no_records_at_first);
	tcase_add_test(tc, a_new_record_holds_its_stack_and_zeros);
	tcase_add_test(tc, the_same_stack_is_the_same_record);
	tcase_add_test(tc, stacks_that_differ_in_one_frame_or_depth_are_different);
	tcase_add_test(tc, the_deepest_stack_is_kept_whole);
	tcase_add_test(tc, many_stacks_are_all_found_again);
	tcase_add_test(tc, at_the_limit_of_memory_new_stacks_are_the_other_stacks);
	tcase_add_test(tc, many_stacks_with_labels_go_without);
	tcase_add_test(tc, unresolved_records_are_each_their_own);
	tcase_add_test(tc, what_begins_anew_has_the_same_records_and_zeros);
	tcase_add_test(tc, records_that_nobody_has_are_used_again);
	tcase_add_test(tc, records_go_round_between_threads_and_listener);
	tcase_add_test(tc, settling_costs_what_is_new);
	tcase_add_test(tc, what_is_free_among_the_held_comes_back);
	tcase_add_test(tc, a_resolved_record_keeps_its_totals_and_names_the_other);
	tcase_add_test(tc, sums_of_threads_that_add_the_same_stacks_are_exact);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
