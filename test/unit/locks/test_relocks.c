#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/locks/once.h"
#include "sampler/locks/readers.h"
#include "sampler/locks/relocks.h"
#include "sampler/locks/wakes.h"
#include "sampler/unwind/sites.h"
#include "sampler/unwind/weight.h"

/* Addresses and nothing more. */
#define MUTEX(i) ((const void *)(0x7f0000001000UL + (uint64_t)(i)*40))
#define SITE(i)	 ((struct site *)site_room[i])
#define SITES	 16

/* Not known yet: of these it matters who has them. */
static _Alignas(struct site) char site_room[SITES][sizeof(struct site)];
static int64_t charged[SITES], weight[SITES];

static void charge(struct site *site, uint64_t ns, uint64_t part)
{
	uint64_t i = (uint64_t)((char *)site - site_room[0]) / sizeof(struct site);

	__atomic_fetch_add(&charged[i], ns, __ATOMIC_RELAXED);
	__atomic_fetch_add(&weight[i], part, __ATOMIC_RELAXED);
}

static void hold(struct relock *r, int64_t end_ns, int site)
{
	relock_hold_was(relock_hold_ends(r, end_ns), end_ns, SITE(site), charge);
}

START_TEST(nothing_is_known_at_first)
{
	ck_assert_ptr_null(relock_find(MUTEX(1)));
	ck_assert_int_eq(wakes_since(MUTEX(1), 1), 0);
}
END_TEST

START_TEST(each_moment_is_charged_to_the_hold_it_was_spent_on)
{
	struct relock *r = relock_note(MUTEX(1), 1000);

	ck_assert_ptr_eq(relock_find(MUTEX(1)), r);
	hold(r, 1100, 1);
	hold(r, 1300, 2);
	hold(r, 1600, 3);
	relock_done(r, MUTEX(1), 1050, 1650, charge);
	ck_assert_int_eq(charged[1], 50);
	ck_assert_int_eq(charged[2], 200);
	ck_assert_int_eq(charged[3], 300);
	relock_done(r, MUTEX(1), 1200, 1700, charge);
	ck_assert_int_eq(charged[1], 50);
	ck_assert_int_eq(charged[2], 300);
	ck_assert_int_eq(charged[3], 600);
	/* The rest of each wait is nobody's: 50 of 600, and 100 of 500. */
	ck_assert_int_le(llabs(weight[1] + weight[2] + weight[3] -
			       (int64_t)WEIGHT_ONE * (550 * 5 + 400 * 6) / 3000),
			 8);
}
END_TEST

#define HELD 1U

static bool is_held(int site)
{
	return atomic_load(&SITE(site)->state) & HELD;
}

static void hold_site(int site)
{
	atomic_store(&SITE(site)->state, HELD);
}

/* A record of a stack that is not known yet can be used again once nobody charges it. */
START_TEST(a_note_lets_go_of_its_site_when_it_is_overwritten)
{
	struct relock *r = relock_note(MUTEX(1), 1000);

	hold_site(1);
	hold(r, 1100, 1);
	ck_assert(is_held(1));
	for (int i = 0; i < 31; i++)
		hold(r, 1200 + i, 2);
	ck_assert(is_held(1));
	hold(r, 1300, 2);
	ck_assert(!is_held(1));
}
END_TEST

START_TEST(a_site_that_comes_too_late_is_let_go)
{
	struct relock *r = relock_note(MUTEX(1), 1000);
	struct relock_hold *h = relock_hold_ends(r, 1100);

	for (int i = 0; i < 32; i++)
		hold(r, 1200 + i, 2);
	hold_site(1);
	relock_hold_was(h, 1100, SITE(1), charge);
	ck_assert(!is_held(1));
}
END_TEST

START_TEST(another_mutex_and_a_child_let_go_of_all)
{
	struct relock *r = relock_note(MUTEX(1), 1000);

	hold_site(1);
	hold(r, 1100, 1);
	for (int i = 2; i < 3000 && is_held(1); i++)
		relock_note(MUTEX(i), 1100 + 2 * NS_PER_SECOND);
	ck_assert(!is_held(1));
	hold_site(2);
	hold(relock_note(MUTEX(1), 10 * NS_PER_SECOND), 10 * NS_PER_SECOND, 2);
	relocks_after_fork();
	ck_assert(!is_held(2));
}
END_TEST

START_TEST(who_comes_after_all_holds_charges_nobody)
{
	struct relock *r = relock_note(MUTEX(1), 1000);

	hold(r, 1100, 1);
	relock_done(r, MUTEX(1), 1100, 1200, charge);
	relock_done(r, MUTEX(2), 1000, 1200, charge);
	ck_assert_int_eq(charged[1], 0);
}
END_TEST

/* The stack of an unlock is walked after it, and the next one may be faster. */
START_TEST(a_site_that_is_known_late_gets_what_was_added_before)
{
	struct relock *r = relock_note(MUTEX(1), 1000);
	struct relock_hold *h = relock_hold_ends(r, 1100);

	relock_done(r, MUTEX(1), 1000, 1150, charge);
	relock_done(r, MUTEX(1), 1040, 1170, charge);
	ck_assert_int_eq(charged[1], 0);
	relock_hold_was(h, 1100, SITE(1), charge);
	ck_assert_int_eq(charged[1], 160);
	relock_done(r, MUTEX(1), 1090, 1190, charge);
	ck_assert_int_eq(charged[1], 170);
}
END_TEST

START_TEST(a_site_that_comes_too_late_is_not_anothers)
{
	struct relock *r = relock_note(MUTEX(1), 1000);
	struct relock_hold *h = relock_hold_ends(r, 1100);

	relock_done(r, MUTEX(1), 1000, 1150, charge);
	for (int i = 0; i < 100; i++)
		hold(r, 1200 + i, 2);
	relock_hold_was(h, 1100, SITE(1), charge);
	ck_assert_int_eq(charged[1] + charged[2], 0);
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_RELOCKS_UNSEEN), 1);
}
END_TEST

START_TEST(more_holds_than_are_kept_are_told)
{
	struct relock *r = relock_note(MUTEX(1), 1000);

	for (int i = 1; i <= 100; i++)
		hold(r, 1000 + i * 10, 1);
	relock_done(r, MUTEX(1), 1000, 2001, charge);
	ck_assert_int_gt(charged[1], 0);
	ck_assert_int_lt(charged[1], 1000);
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_RELOCKS_UNSEEN), 1);
}
END_TEST

START_TEST(records_serve_again_when_they_are_old)
{
	int64_t now = 1000;

	for (int i = 0; i < 10000; i++) {
		ck_assert_ptr_nonnull(relock_note(MUTEX(i), now));
		now += NS_PER_SECOND / 16;
	}
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_RELOCKS_UNSEEN), 0);
	for (int i = 0; i < 1000; i++)
		relock_note(MUTEX(i), now);
	ck_assert_uint_ge(counter_get(COUNTER_MUTEX_RELOCKS_UNSEEN), 1000 - 256);
}
END_TEST

START_TEST(a_record_of_another_mutex_has_no_notes)
{
	struct relock *r = relock_note(MUTEX(0), 1000), *other = NULL;
	int i = 0;

	hold(r, 2000, 1);
	while (other != r) {
		i++;
		other = relock_note(MUTEX(i), 1000 + 2 * NS_PER_SECOND * i);
	}
	relock_done(r, MUTEX(i), 1000, 3000 * NS_PER_SECOND, charge);
	ck_assert_int_eq(charged[1], 0);
}
END_TEST

START_TEST(a_child_forgets_all)
{
	hold(relock_note(MUTEX(1), 1000), 1100, 1);
	wakes_note(MUTEX(1), true, 1000);
	relocks_after_fork();
	wakes_after_fork();
	ck_assert_ptr_null(relock_find(MUTEX(1)));
	ck_assert_int_eq(wakes_since(MUTEX(1), 1), 0);
}
END_TEST

/* ---- wakes */

START_TEST(the_first_broadcast_since_then_or_the_last_signal)
{
	wakes_note(MUTEX(1), false, 1000);
	wakes_note(MUTEX(1), false, 2000);
	ck_assert_int_eq(wakes_since(MUTEX(1), 500), 2000);
	ck_assert_int_eq(wakes_since(MUTEX(1), 2500), 0);
	wakes_note(MUTEX(1), true, 3000);
	wakes_note(MUTEX(1), true, 4000);
	wakes_note(MUTEX(1), false, 4500);
	ck_assert_int_eq(wakes_since(MUTEX(1), 500), 3000);
	ck_assert_int_eq(wakes_since(MUTEX(1), 3500), 4000);
	ck_assert_int_eq(wakes_since(MUTEX(1), 4200), 4500);
	ck_assert_int_eq(wakes_since(MUTEX(2), 500), 0);
}
END_TEST

START_TEST(conditions_do_not_answer_for_each_other)
{
	for (int i = 0; i < 100000; i++) {
		wakes_note(MUTEX(i), i % 2, 1000 + i);
		ck_assert_int_eq(wakes_since(MUTEX(i), 1), 1000 + i);
		ck_assert_int_eq(wakes_since(MUTEX(i + 1), 1), 0);
	}
}
END_TEST

/* ---- readers */

START_TEST(readers_are_those_who_have_it_now)
{
	int tid[4];

	readers_add(MUTEX(1), 11);
	readers_add(MUTEX(1), 12);
	readers_add(MUTEX(2), 11);
	readers_add(MUTEX(1), 11);
	ck_assert_uint_eq(readers_of(MUTEX(1), tid, 4), 3);
	readers_remove(MUTEX(1), 11);
	readers_remove(MUTEX(1), 13);
	ck_assert_uint_eq(readers_of(MUTEX(1), tid, 4), 2);
	ck_assert_int_eq(tid[0] + tid[1], 23);
	ck_assert_uint_eq(readers_of(MUTEX(2), tid, 4), 1);
	ck_assert_int_eq(tid[0], 11);
	ck_assert_uint_eq(readers_of(MUTEX(1), tid, 1), 2);
	readers_after_fork();
	ck_assert_uint_eq(readers_of(MUTEX(1), tid, 4), 0);
}
END_TEST

START_TEST(more_readers_than_there_is_room_for_are_counted)
{
	uint64_t kept;

	for (int i = 1; i <= 20000; i++)
		readers_add(MUTEX(1), i);
	kept = 20000 - counter_get(COUNTER_READERS_UNRECORDED);
	ck_assert_uint_gt(kept, 4096);
	ck_assert_uint_eq(readers_of(MUTEX(1), NULL, 0), kept);
	for (int i = 1; i <= 20000; i++)
		readers_remove(MUTEX(1), i);
	ck_assert_uint_eq(readers_of(MUTEX(1), NULL, 0), 0);
}
END_TEST

START_TEST(who_runs_it_once_is_known_until_it_is_done)
{
	ck_assert_int_eq(once_runner(MUTEX(1)), 0);
	once_begins(MUTEX(1), 11);
	ck_assert_int_eq(once_runner(MUTEX(1)), 11);
	ck_assert_int_eq(once_runner(MUTEX(2)), 0);
	once_ends(MUTEX(2));
	ck_assert_int_eq(once_runner(MUTEX(1)), 11);
	once_ends(MUTEX(1));
	ck_assert_int_eq(once_runner(MUTEX(1)), 0);
}
END_TEST

/* ---- threads */

#define THREADS 4
#define ROUNDS	100000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t wanted, now_ns;

/* Who has the mutex ends a hold, and the next one was waiting since the end before. */
static void *take_turns(void *arg)
{
	struct relock *r = relock_note(MUTEX(1), 1);

	for (int i = 0; i < ROUNDS; i++) {
		struct relock_hold *h;
		int64_t end;

		pthread_mutex_lock(&mutex);
		end = now_ns += 10;
		if (end > 10) {
			relock_done(r, MUTEX(1), end - 20, end - 5, charge);
			wanted += 10;
		}
		h = relock_hold_ends(r, end);
		pthread_mutex_unlock(&mutex);
		relock_hold_was(h, end, SITE((long)arg), charge);
	}
	return NULL;
}

START_TEST(nothing_is_charged_twice_and_what_is_lost_is_counted)
{
	pthread_t thread[THREADS];
	int64_t all = 0, lost;

	relock_note(MUTEX(1), 1);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, take_turns, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < THREADS; i++)
		all += charged[i];
	lost = (int64_t)counter_get(COUNTER_MUTEX_RELOCKS_UNSEEN) * 10;
	ck_assert_int_le(all, wanted);
	ck_assert_int_gt(all, wanted / 2);
	ck_assert_int_ge(all + 2 * lost + THREADS * 10, wanted);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("relocks");
	Suite *s = suite_create("relocks");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, nothing_is_known_at_first);
	tcase_add_test(t, each_moment_is_charged_to_the_hold_it_was_spent_on);
	tcase_add_test(t, who_comes_after_all_holds_charges_nobody);
	tcase_add_test(t, a_note_lets_go_of_its_site_when_it_is_overwritten);
	tcase_add_test(t, a_site_that_comes_too_late_is_let_go);
	tcase_add_test(t, another_mutex_and_a_child_let_go_of_all);
	tcase_add_test(t, a_site_that_is_known_late_gets_what_was_added_before);
	tcase_add_test(t, a_site_that_comes_too_late_is_not_anothers);
	tcase_add_test(t, more_holds_than_are_kept_are_told);
	tcase_add_test(t, records_serve_again_when_they_are_old);
	tcase_add_test(t, a_record_of_another_mutex_has_no_notes);
	tcase_add_test(t, a_child_forgets_all);
	tcase_add_test(t, the_first_broadcast_since_then_or_the_last_signal);
	tcase_add_test(t, conditions_do_not_answer_for_each_other);
	tcase_add_test(t, readers_are_those_who_have_it_now);
	tcase_add_test(t, more_readers_than_there_is_room_for_are_counted);
	tcase_add_test(t, who_runs_it_once_is_known_until_it_is_done);
	tcase_add_test(t, nothing_is_charged_twice_and_what_is_lost_is_counted);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
