#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/locks/waiters.h"

/* Times are kept in units of 16 ns. */
#define UNIT 16

/* Addresses and nothing more. */
#define LOCK(i) ((const void *)(0x7f0000001000UL + (uint64_t)(i)*40))

static struct waiters_slot *add(const void *lock, int64_t start)
{
	return waiters_add(lock, start * UNIT);
}

static void remove_waiter(struct waiters_slot *s, const void *lock, int64_t start)
{
	waiters_remove(s, lock, start * UNIT);
}

static int64_t due(const void *lock, int64_t now)
{
	return waiters_charge(lock, now * UNIT).delay_ns / UNIT;
}

START_TEST(nobody_waits_at_first)
{
	for (int i = 0; i < 1000; i++) {
		ck_assert(!waiters_maybe(LOCK(i)));
		ck_assert_int_eq(due(LOCK(i), 1000000), 0);
	}
}
END_TEST

START_TEST(one_waiter_is_charged_once_for_each_moment)
{
	struct waiters_slot *s = add(LOCK(1), 1000);

	ck_assert(waiters_maybe(LOCK(1)));
	ck_assert_int_eq(due(LOCK(1), 1500), 500);
	ck_assert_int_eq(due(LOCK(1), 1500), 0);
	ck_assert_int_eq(due(LOCK(1), 1700), 200);
	remove_waiter(s, LOCK(1), 1000);
	ck_assert(!waiters_maybe(LOCK(1)));
	ck_assert_int_eq(due(LOCK(1), 9999), 0);
}
END_TEST

START_TEST(ten_waiters_of_10_ms_are_100_ms)
{
	struct waiters_slot *s[10];

	for (int i = 0; i < 10; i++)
		s[i] = add(LOCK(1), 1000);
	ck_assert_int_eq(due(LOCK(1), 1000 + 10 * NS_PER_MS / UNIT), 100 * NS_PER_MS / UNIT);
	for (int i = 0; i < 10; i++)
		remove_waiter(s[i], LOCK(1), 1000);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

START_TEST(who_comes_and_goes_between_charges_leaves_no_trace)
{
	struct waiters_slot *a = add(LOCK(1), 1000), *b = add(LOCK(1), 1300);

	remove_waiter(b, LOCK(1), 1300);
	ck_assert_int_eq(due(LOCK(1), 2000), 1000);
	b = add(LOCK(1), 2100);
	ck_assert_int_eq(due(LOCK(1), 2200), 200 + 100);
	remove_waiter(a, LOCK(1), 1000); /* it began before the last charge */
	ck_assert_int_eq(due(LOCK(1), 2300), 100);
	remove_waiter(b, LOCK(1), 2100);
}
END_TEST

/* It read the clock, and before it was noted somebody else was charged. */
START_TEST(a_waiter_that_is_noted_late_counts_from_the_charge_on)
{
	struct waiters_slot *a = add(LOCK(1), 1000), *b;

	ck_assert_int_eq(due(LOCK(1), 2000), 1000);
	b = add(LOCK(1), 1500);
	ck_assert_int_eq(due(LOCK(1), 2100), 200);
	remove_waiter(b, LOCK(1), 1500);
	remove_waiter(a, LOCK(1), 1000);
	ck_assert_int_eq(due(LOCK(1), 9999), 0);
}
END_TEST

START_TEST(waits_that_ended_are_counted_with_the_next_charge)
{
	struct waiters_slot *s[5];

	for (int i = 0; i < 5; i++)
		s[i] = add(LOCK(1), 1000);
	ck_assert_uint_eq(waiters_charge(LOCK(1), 2000 * UNIT).waits, 1); /* whom it will wake */
	remove_waiter(s[0], LOCK(1), 1000);
	ck_assert_uint_eq(waiters_charge(LOCK(1), 2100 * UNIT).waits, 1);
	for (int i = 1; i < 4; i++)
		remove_waiter(s[i], LOCK(1), 1000);
	ck_assert_uint_eq(waiters_charge(LOCK(1), 2200 * UNIT).waits, 3);
	remove_waiter(s[4], LOCK(1), 1000);
	ck_assert_uint_eq(waiters_charge(LOCK(1), 2300 * UNIT).waits, 0);
}
END_TEST

START_TEST(the_filter_falls_with_the_last_of_a_crowd)
{
	struct waiters_slot *s[3];

	for (int i = 0; i < 3; i++)
		s[i] = add(LOCK(1), 1000);
	for (int i = 0; i < 3; i++) {
		ck_assert(waiters_maybe(LOCK(1)));
		remove_waiter(s[i], LOCK(1), 1000);
	}
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

/* Processors have more often than 10^8 and less than 10^10 cycles a second. */
START_TEST(a_charge_is_worth_it_after_some_waiting)
{
	struct timespec ms = { 0, 1000000 };
	struct waiters_slot *s = add(LOCK(1), 1000);

	nanosleep(&ms, NULL);
	ck_assert(waiters_worth_charging(LOCK(1)));
	ck_assert(!waiters_worth_charging(LOCK(2)));
	remove_waiter(s, LOCK(1), 1000);
	ck_assert(!waiters_worth_charging(LOCK(1)));
}
END_TEST

START_TEST(a_child_forgets_all_waiters)
{
	for (int i = 0; i < 100; i++)
		add(LOCK(i), 1000);
	waiters_after_fork();
	for (int i = 0; i < 100; i++)
		ck_assert(!waiters_maybe(LOCK(i)));
}
END_TEST

START_TEST(locks_are_charged_apart)
{
	struct waiters_slot *s[100];
	int64_t sum = 0;

	for (int i = 0; i < 100; i++)
		s[i] = add(LOCK(i), 1000 + i);
	for (int i = 0; i < 100; i++)
		sum += due(LOCK(i), 2000) == 1000 - i;
	ck_assert_int_eq(sum, 100);
	for (int i = 0; i < 100; i++)
		remove_waiter(s[i], LOCK(i), 1000 + i);
}
END_TEST

START_TEST(many_locks_at_once_are_charged_apart)
{
	static struct waiters_slot *s[5000];

	for (int i = 0; i < 5000; i++)
		s[i] = add(LOCK(i), 1000);
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_WAITER_TABLE_FULL), 0);
	for (int i = 0; i < 5000; i++)
		ck_assert(s[i] && waiters_maybe(LOCK(i)));
	for (int i = 0; i < 5000; i++) {
		ck_assert_int_eq(due(LOCK(i), 1100 + i), 100 + i);
		remove_waiter(s[i], LOCK(i), 1000);
	}
	for (int i = 0; i < 5000; i++)
		ck_assert(!waiters_maybe(LOCK(i)));
}
END_TEST

START_TEST(more_locks_than_there_is_room_for_are_counted)
{
	static struct waiters_slot *s[40000];
	int noted = 0;

	for (int i = 0; i < 40000; i++)
		noted += (s[i] = add(LOCK(i), 1000)) != NULL;
	ck_assert_int_gt(noted, 14000);
	ck_assert_int_le(noted, 16384);
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_WAITER_TABLE_FULL), (uint64_t)(40000 - noted));
	for (int i = 0; i < 40000; i++) {
		ck_assert_int_eq(due(LOCK(i), 1100), s[i] ? 100 : 0);
		if (s[i])
			remove_waiter(s[i], LOCK(i), 1000);
	}
	for (int i = 0; i < 40000; i++)
		ck_assert(!waiters_maybe(LOCK(i)));
}
END_TEST

/* ---- waits that end without the lock */

START_TEST(who_gives_up_leaves_a_debt)
{
	struct waiters_slot *s = add(LOCK(1), 1000);

	waiters_give_up(s, LOCK(1), 1000 * UNIT, 1400 * UNIT);
	ck_assert_msg(waiters_maybe(LOCK(1)), "nobody waits, and yet an unlock has to look");
	ck_assert_int_eq(due(LOCK(1), 9000), 400);
	ck_assert(!waiters_maybe(LOCK(1)));
	ck_assert_int_eq(due(LOCK(1), 9999), 0);
}
END_TEST

START_TEST(a_debt_counts_from_the_last_charge)
{
	struct waiters_slot *s = add(LOCK(1), 1000);

	ck_assert_int_eq(due(LOCK(1), 1500), 500);
	waiters_give_up(s, LOCK(1), 1000 * UNIT, 1700 * UNIT);
	ck_assert_int_eq(due(LOCK(1), 2000), 200);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

START_TEST(debts_of_some_and_waits_of_others_are_one_sum)
{
	struct waiters_slot *a = add(LOCK(1), 1000), *b = add(LOCK(1), 1200), *c;
	struct waiters_due all;

	waiters_give_up(a, LOCK(1), 1000 * UNIT, 1300 * UNIT); /* 300 */
	c = add(LOCK(1), 1400);
	waiters_give_up(c, LOCK(1), 1400 * UNIT, 1450 * UNIT); /* 50 */
	all = waiters_charge(LOCK(1), 2000 * UNIT);	       /* and 800 of b */
	ck_assert_int_eq(all.delay_ns / UNIT, 300 + 50 + 800);
	ck_assert_uint_eq(all.waits, 2);
	remove_waiter(b, LOCK(1), 1200);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

START_TEST(a_debt_waits_while_others_come_and_have_the_lock)
{
	struct waiters_slot *a = add(LOCK(1), 1000), *b;

	waiters_give_up(a, LOCK(1), 1000 * UNIT, 1300 * UNIT);
	b = add(LOCK(1), 1500);
	remove_waiter(b, LOCK(1), 1500);
	ck_assert(waiters_maybe(LOCK(1)));
	ck_assert_int_eq(due(LOCK(1), 3000), 300);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

/* Locks that nobody unlocks any more must not use up the table. */
START_TEST(old_debts_give_way_and_are_counted)
{
	for (int i = 0; i < 40000; i++) {
		struct waiters_slot *s = add(LOCK(i), 1000 + i);

		ck_assert_ptr_nonnull(s);
		waiters_give_up(s, LOCK(i), (1000 + i) * UNIT, (1100 + i) * UNIT);
	}
	ck_assert_uint_ge(counter_get(COUNTER_MUTEX_WAITER_TABLE_FULL), 40000 - 16384);
	for (int i = 0; i < 40000; i++)
		due(LOCK(i), 1000000);
	for (int i = 0; i < 40000; i++)
		ck_assert(!waiters_maybe(LOCK(i)));
}
END_TEST

/* ---- large sums */

#define SECOND (NS_PER_SECOND / UNIT)

/* 6,000 threads that come one a second: 5,000 hours of waiting. */
START_TEST(large_sums_are_exact)
{
	static struct waiters_slot *s[6000];
	int64_t expected = 0;

	for (int i = 0; i < 6000; i++) {
		s[i] = add(LOCK(1), 1000 + i * SECOND);
		expected += (6000 - i) * SECOND;
	}
	ck_assert_int_eq(due(LOCK(1), 1000 + 6000 * SECOND), expected);
	for (int i = 0; i < 6000; i++)
		remove_waiter(s[i], LOCK(1), 1000 + i * SECOND);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

/* 60,000 threads within ten seconds, and all at the end of them. */
START_TEST(large_sums_within_seconds_are_exact)
{
	static struct waiters_slot *s[60000];
	int64_t expected = 0, end = 1000 + 9 * SECOND;

	for (int i = 0; i < 60000; i++) {
		int64_t start = i == 0 ? 1000 : end - (60000 - i) / 60;

		s[i] = add(LOCK(1), start);
		expected += end + SECOND - start;
	}
	ck_assert_int_eq(due(LOCK(1), end + SECOND), expected);
	for (int i = 0; i < 60000; i++)
		remove_waiter(s[i], LOCK(1), i == 0 ? 1000 : end - (60000 - i) / 60);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

START_TEST(large_debts_are_exact)
{
	struct waiters_slot *holder = add(LOCK(1), 1000);
	int64_t expected = 0;
	struct waiters_due all;

	for (int i = 1; i <= 5000; i++) {
		struct waiters_slot *s = add(LOCK(1), 1000 + i * 60 * SECOND);

		waiters_give_up(s, LOCK(1), (1000 + i * 60 * SECOND) * UNIT,
				(1000 + i * 60 * SECOND + 50 * SECOND) * UNIT);
		expected += 50 * SECOND;
	}
	expected += 5001 * 60 * SECOND;
	all = waiters_charge(LOCK(1), (1000 + 5001 * 60 * SECOND) * UNIT);
	ck_assert_int_eq(all.delay_ns / UNIT, expected);
	ck_assert_uint_eq(all.waits, 5000);
	remove_waiter(holder, LOCK(1), 1000);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

START_TEST(a_thousand_waits_that_ended_are_a_thousand)
{
	static struct waiters_slot *s[3000];

	for (int i = 0; i < 3000; i++)
		s[i] = add(LOCK(1), 1000);
	for (int i = 0; i < 2999; i++)
		waiters_give_up(s[i], LOCK(1), 1000 * UNIT, 1500 * UNIT);
	ck_assert_uint_eq(waiters_charge(LOCK(1), 2000 * UNIT).waits, 2999);
	remove_waiter(s[2999], LOCK(1), 1000);
}
END_TEST

START_TEST(slots_serve_again)
{
	for (int i = 0; i < 100000; i++) {
		struct waiters_slot *s = add(LOCK(i), 1000 + i);

		ck_assert_ptr_nonnull(s);
		ck_assert_int_eq(due(LOCK(i), 1005 + i), 5);
		remove_waiter(s, LOCK(i), 1000 + i);
	}
}
END_TEST

/* A clock that jumps by centuries breaks nothing. */
START_TEST(absurd_times_break_nothing)
{
	struct waiters_slot *a = waiters_add(LOCK(1), 1), *b = waiters_add(LOCK(1), INT64_MAX / 2);

	ck_assert_int_ge(waiters_charge(LOCK(1), INT64_MAX / 2 + 10).delay_ns, 0);
	waiters_remove(b, LOCK(1), INT64_MAX / 2);
	waiters_remove(a, LOCK(1), 1);
	ck_assert_int_ge(waiters_charge(LOCK(1), INT64_MAX / 2 + 20).delay_ns, 0);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

/* ---- threads */

#define THREADS 8
#define ROUNDS	200000

static int64_t clock_now, charged[THREADS], waited[THREADS];

static int64_t now(void)
{
	return __atomic_add_fetch(&clock_now, 1, __ATOMIC_RELAXED);
}

/* Every thread waits at one of two locks and charges both; no moment is charged twice. */
static void *come_and_go(void *arg)
{
	long id = (long)arg;

	for (int i = 0; i < ROUNDS; i++) {
		const void *lock = LOCK((i + id) % 2);
		int64_t start = now();
		struct waiters_slot *s = add(lock, start);

		charged[id] += due(LOCK(0), now());
		charged[id] += due(LOCK(1), now());
		if (s && i % 3 == 0)
			waiters_give_up(s, lock, start * UNIT, now() * UNIT);
		else if (s)
			remove_waiter(s, lock, start);
		waited[id] += now() - start;
	}
	return NULL;
}

START_TEST(threads_never_charge_more_than_was_waited)
{
	pthread_t thread[THREADS];
	int64_t all_charged = 0, all_waited = 0;

	for (long i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, come_and_go, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_ge(charged[i], 0);
		all_charged += charged[i];
		all_waited += waited[i];
	}
	all_charged += due(LOCK(0), now()) + due(LOCK(1), now());
	ck_assert_int_gt(all_charged, all_waited / 100);
	ck_assert_int_le(all_charged, all_waited);
	ck_assert(!waiters_maybe(LOCK(0)) && !waiters_maybe(LOCK(1)));
	ck_assert_int_eq(due(LOCK(0), now() + 1000000), 0);
	ck_assert_int_eq(due(LOCK(1), now() + 1000000), 0);
	ck_assert_ptr_null(waiters_check());
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_WAITER_TABLE_FULL), 0);
}
END_TEST

/* More locks than slots, so that slots change hands all the time. */
static void *wander(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		const void *lock = LOCK((unsigned)(i * 7919 + (long)arg * 104729) % 3000);
		int64_t start = now();
		struct waiters_slot *s = add(lock, start);

		charged[(long)arg] += due(lock, now());
		if (s)
			remove_waiter(s, lock, start);
		waited[(long)arg] += now() - start;
	}
	return NULL;
}

START_TEST(slots_that_change_hands_keep_their_sums)
{
	pthread_t thread[THREADS];
	int64_t all_charged = 0, all_waited = 0;

	for (long i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, wander, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		all_charged += charged[i];
		all_waited += waited[i];
	}
	ck_assert_int_gt(all_charged, 0);
	ck_assert_int_le(all_charged, all_waited);
	for (int i = 0; i < 3000; i++) {
		ck_assert(!waiters_maybe(LOCK(i)));
		ck_assert_int_eq(due(LOCK(i), now() + 1000000), 0);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("waiters");
	Suite *s = suite_create("waiters");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, nobody_waits_at_first);
	tcase_add_test(t, one_waiter_is_charged_once_for_each_moment);
	tcase_add_test(t, ten_waiters_of_10_ms_are_100_ms);
	tcase_add_test(t, who_comes_and_goes_between_charges_leaves_no_trace);
	tcase_add_test(t, a_waiter_that_is_noted_late_counts_from_the_charge_on);
	tcase_add_test(t, waits_that_ended_are_counted_with_the_next_charge);
	tcase_add_test(t, the_filter_falls_with_the_last_of_a_crowd);
	tcase_add_test(t, a_charge_is_worth_it_after_some_waiting);
	tcase_add_test(t, a_child_forgets_all_waiters);
	tcase_add_test(t, locks_are_charged_apart);
	tcase_add_test(t, many_locks_at_once_are_charged_apart);
	tcase_add_test(t, more_locks_than_there_is_room_for_are_counted);
	tcase_add_test(t, slots_serve_again);
	tcase_add_test(t, who_gives_up_leaves_a_debt);
	tcase_add_test(t, a_debt_counts_from_the_last_charge);
	tcase_add_test(t, debts_of_some_and_waits_of_others_are_one_sum);
	tcase_add_test(t, a_debt_waits_while_others_come_and_have_the_lock);
	tcase_add_test(t, old_debts_give_way_and_are_counted);
	tcase_add_test(t, large_sums_are_exact);
	tcase_add_test(t, large_sums_within_seconds_are_exact);
	tcase_add_test(t, large_debts_are_exact);
	tcase_add_test(t, a_thousand_waits_that_ended_are_a_thousand);
	tcase_add_test(t, absurd_times_break_nothing);
	tcase_add_test(t, threads_never_charge_more_than_was_waited);
	tcase_add_test(t, slots_that_change_hands_keep_their_sums);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
