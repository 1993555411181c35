/* Threads of a profile, what became of them, and where they were seen. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/counters.h"
#include "sampler/process/threads.h"
#include "sampler/wall/lives.h"

static struct arena arena = ARENA_INIT(64UL << 20);
static struct life_table lives;
static const char poll_call[] = "poll", sleep_call[] = "sleep";

static void setup(void)
{
	ck_assert_int_eq(threads_open(), 0);
	ck_assert(lives_init(&lives, &arena));
}

static void teardown(void)
{
	arena_release(&arena);
	threads_close();
}

static struct life *begin(struct thread *of, const char *name)
{
	struct life *l = lives_add(&lives, of);

	ck_assert_ptr_nonnull(l);
	strcpy(l->name, name);
	l->end_ns = 1000;
	return l;
}

static uint32_t see(struct life *l, uint32_t stack, const char *reason, int64_t ns)
{
	uint32_t number =
		visits_find(&lives.visits, &l->visits, lives_owner(&lives, l), stack, reason);

	ck_assert_uint_ne(number, 0);
	visit_at(&lives.visits, number)->ns += ns;
	l->blocked_ns += ns;
	l->blocked_looks++;
	return number;
}

static int64_t ns_of(uint32_t first, uint32_t stack, const char *reason)
{
	int64_t ns = 0;

	for (uint32_t i = first; i; i = visit_at(&lives.visits, i)->next)
		if (visit_at(&lives.visits, i)->stack == stack &&
		    visit_at(&lives.visits, i)->reason == reason)
			ns += visit_at(&lives.visits, i)->ns;
	return ns;
}

START_TEST(lives__a_place_is_one_by_owner_stack_and_reason)
{
	struct life *a = begin(thread_claim(7), "a"), *b = begin(thread_claim(8), "b");

	ck_assert_uint_eq(see(a, 1, poll_call, 5), see(a, 1, poll_call, 6));
	ck_assert_uint_ne(see(a, 1, sleep_call, 7), see(a, 2, poll_call, 8));
	see(b, 1, poll_call, 9);
	ck_assert_int_eq(ns_of(a->visits, 1, poll_call), 11);
	ck_assert_int_eq(ns_of(a->visits, 1, sleep_call), 7);
	ck_assert_int_eq(ns_of(a->visits, 2, poll_call), 8);
	ck_assert_int_eq(ns_of(b->visits, 1, poll_call), 9);
}
END_TEST

START_TEST(lives__a_short_one_becomes_part_of_the_crowd_of_its_name)
{
	for (int i = 0; i < 1000; i++) {
		struct thread *t = thread_claim(100 + i);
		struct life *l = begin(t, i % 2 ? "odd" : "even");

		l->clock = 100;
		see(l, 1, poll_call, 10);
		see(l, 2, sleep_call, 20);
		lives_end(&lives, t);
		atomic_store(&t->state, THREAD_ENDED);
		thread_recycle(t);
	}
	ck_assert_uint_eq(lives.count, 1); /* one place after the other */
	ck_assert_uint_eq(lives.crowds, 3);
	ck_assert_int_eq(ns_of(lives.crowd[1].visits, 1, poll_call), 5000);
	ck_assert_int_eq(ns_of(lives.crowd[2].visits, 2, sleep_call), 10000);
	ck_assert_int_eq(lives.crowd_life_ns, 1000000);
	for (int i = 1; i <= 2; i++) {
		ck_assert_int_eq(lives.crowd[i].blocked_ns, 450000);
		ck_assert_int_eq(lives.crowd[i].seen_ns, 15000);
		ck_assert_int_eq(lives.crowd[i].lost_ns, 0);
	}
}
END_TEST

START_TEST(lives__one_with_enough_looks_stays)
{
	struct thread *t = thread_claim(7);
	struct life *l = begin(t, "long");

	for (int i = 0; i < LOOKS_OWN; i++)
		see(l, 1, poll_call, 10);
	lives_end(&lives, t);
	ck_assert_ptr_null(lives_find(&lives, t));
	ck_assert_int_eq(l->tid, 7);
	ck_assert(l->is_over);
	ck_assert_int_eq(ns_of(l->visits, 1, poll_call), 40);
	ck_assert_int_eq(lives.crowd_life_ns, 0);
}
END_TEST

START_TEST(lives__names_without_end_share_the_crowd_without_one)
{
	char name[TASK_NAME_BYTES];

	for (int i = 0; i < 2 * CROWDS_MAX; i++) {
		struct thread *t = thread_claim(100 + i);

		snprintf(name, sizeof(name), "%d", i);
		see(begin(t, name), 1, poll_call, 1);
		lives_end(&lives, t);
	}
	ck_assert_uint_eq(lives.crowds, CROWDS_MAX);
	ck_assert_int_eq(ns_of(lives.crowd[0].visits, 1, poll_call), CROWDS_MAX + 1);
}
END_TEST

START_TEST(lives__what_finds_no_place_is_counted)
{
	struct life *l = begin(thread_claim(7), "many");
	uint32_t full = 0;

	for (uint32_t i = 0; i < VISITS_MAX; i++)
		see(l, i, poll_call, 1);
	ck_assert_uint_eq(visits_find(&lives.visits, &full, 9, 1, poll_call), 0);
	ck_assert_uint_eq(full, 0);
	ck_assert_uint_eq(counter_get(COUNTER_WALL_PLACES_FULL), 1);
}
END_TEST

START_TEST(lives__time_is_running_queued_and_blocked)
{
	struct life l = { .begin_ns = 100, .end_ns = 1100, .clock_begin = 5, .clock = 205 };

	l.queued_begin = 50;
	l.queued = 350;
	ck_assert_int_eq(life_cpu_ns(&l), 200);
	ck_assert_int_eq(life_queued_ns(&l), 300);
	ck_assert_int_eq(life_blocked_ns(&l), 500);
	l.queued = 5000; /* it began to wait before its life here did */
	ck_assert_int_eq(life_queued_ns(&l), 800);
	ck_assert_int_eq(life_blocked_ns(&l), 0);
	l.queued = -1; /* not known */
	ck_assert_int_eq(life_blocked_ns(&l), 800);
}
END_TEST

START_TEST(lives__a_thread_that_never_got_a_processor_queued)
{
	struct life l = { .end_ns = 1000, .looks = 9, .queued = 7, .queued_begin = 7 };

	ck_assert_int_eq(life_queued_ns(&l), 1000);
	l.blocked_looks = 1;
	ck_assert_int_eq(life_queued_ns(&l), 0);
	l.blocked_looks = 0;
	l.is_refused = true;
	ck_assert_int_eq(life_queued_ns(&l), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("lives");
	Suite *s = suite_create("lives");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lives__a_place_is_one_by_owner_stack_and_reason);
	tcase_add_test(t, lives__a_short_one_becomes_part_of_the_crowd_of_its_name);
	tcase_add_test(t, lives__one_with_enough_looks_stays);
	tcase_add_test(t, lives__names_without_end_share_the_crowd_without_one);
	tcase_add_test(t, lives__what_finds_no_place_is_counted);
	tcase_add_test(t, lives__time_is_running_queued_and_blocked);
	tcase_add_test(t, lives__a_thread_that_never_got_a_processor_queued);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
