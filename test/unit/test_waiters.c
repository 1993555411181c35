#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "sampler/counters.h"
#include "sampler/sys.h"
#include "sampler/waiters.h"

/* Addresses and nothing more. */
#define LOCK(i) ((const void *)(0x7f0000001000UL + (uint64_t)(i)*40))

START_TEST(nobody_waits_at_first)
{
	for (int i = 0; i < 1000; i++) {
		ck_assert(!waiters_maybe(LOCK(i)));
		ck_assert_int_eq(waiters_charge(LOCK(i), 1000000), 0);
	}
}
END_TEST

START_TEST(one_waiter_is_charged_once_for_each_moment)
{
	struct waiters_slot *s = waiters_add(LOCK(1), 1000);

	ck_assert(waiters_maybe(LOCK(1)));
	ck_assert_int_eq(waiters_charge(LOCK(1), 1500), 500);
	ck_assert_int_eq(waiters_charge(LOCK(1), 1500), 0);
	ck_assert_int_eq(waiters_charge(LOCK(1), 1700), 200);
	waiters_remove(s, LOCK(1), 1000);
	ck_assert(!waiters_maybe(LOCK(1)));
	ck_assert_int_eq(waiters_charge(LOCK(1), 9999), 0);
}
END_TEST

START_TEST(ten_waiters_of_10_ms_are_100_ms)
{
	struct waiters_slot *s[10];

	for (int i = 0; i < 10; i++)
		s[i] = waiters_add(LOCK(1), 1000);
	ck_assert_int_eq(waiters_charge(LOCK(1), 1000 + 10 * NS_PER_MS), 100 * NS_PER_MS);
	for (int i = 0; i < 10; i++)
		waiters_remove(s[i], LOCK(1), 1000);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

START_TEST(who_comes_and_goes_between_charges_leaves_no_trace)
{
	struct waiters_slot *a = waiters_add(LOCK(1), 1000), *b = waiters_add(LOCK(1), 1300);

	waiters_remove(b, LOCK(1), 1300);
	ck_assert_int_eq(waiters_charge(LOCK(1), 2000), 1000);
	b = waiters_add(LOCK(1), 2100);
	ck_assert_int_eq(waiters_charge(LOCK(1), 2200), 200 + 100);
	waiters_remove(a, LOCK(1), 1000); /* it began before the last charge */
	ck_assert_int_eq(waiters_charge(LOCK(1), 2300), 100);
	waiters_remove(b, LOCK(1), 2100);
}
END_TEST

/* It read the clock, and before it was noted somebody else was charged. */
START_TEST(a_waiter_that_is_noted_late_counts_from_the_charge_on)
{
	struct waiters_slot *a = waiters_add(LOCK(1), 1000), *b;

	ck_assert_int_eq(waiters_charge(LOCK(1), 2000), 1000);
	b = waiters_add(LOCK(1), 1500);
	ck_assert_int_eq(waiters_charge(LOCK(1), 2100), 200);
	waiters_remove(b, LOCK(1), 1500);
	waiters_remove(a, LOCK(1), 1000);
	ck_assert_int_eq(waiters_charge(LOCK(1), 9999), 0);
}
END_TEST

START_TEST(locks_are_charged_apart)
{
	struct waiters_slot *s[100];
	int64_t sum = 0;

	for (int i = 0; i < 100; i++)
		s[i] = waiters_add(LOCK(i), 1000 + i);
	for (int i = 0; i < 100; i++)
		sum += waiters_charge(LOCK(i), 2000) == 1000 - i;
	ck_assert_int_eq(sum, 100);
	for (int i = 0; i < 100; i++)
		waiters_remove(s[i], LOCK(i), 1000 + i);
}
END_TEST

START_TEST(more_locks_than_there_is_room_for_are_counted)
{
	static struct waiters_slot *s[5000];
	int noted = 0;

	for (int i = 0; i < 5000; i++)
		noted += (s[i] = waiters_add(LOCK(i), 1000)) != NULL;
	ck_assert_int_gt(noted, 900);
	ck_assert_int_le(noted, 1024);
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_WAITERS_UNSEEN), (uint64_t)(5000 - noted));
	for (int i = 0; i < 5000; i++) {
		ck_assert_int_eq(waiters_charge(LOCK(i), 1100), s[i] ? 100 : 0);
		if (s[i])
			waiters_remove(s[i], LOCK(i), 1000);
	}
	for (int i = 0; i < 5000; i++)
		ck_assert(!waiters_maybe(LOCK(i)));
}
END_TEST

START_TEST(slots_serve_again)
{
	for (int i = 0; i < 100000; i++) {
		struct waiters_slot *s = waiters_add(LOCK(i), 1000 + i);

		ck_assert_ptr_nonnull(s);
		ck_assert_int_eq(waiters_charge(LOCK(i), 1005 + i), 5);
		waiters_remove(s, LOCK(i), 1000 + i);
	}
}
END_TEST

/* Ten centuries of waiting at one lock: the sum stops growing and nothing breaks. */
START_TEST(sums_that_do_not_fit_saturate)
{
	struct waiters_slot *a = waiters_add(LOCK(1), 1), *b = waiters_add(LOCK(1), INT64_MAX / 2);

	ck_assert_int_ge(waiters_charge(LOCK(1), INT64_MAX / 2 + 10), 0);
	waiters_remove(b, LOCK(1), INT64_MAX / 2);
	waiters_remove(a, LOCK(1), 1);
	ck_assert(!waiters_maybe(LOCK(1)));
}
END_TEST

/* ---- threads */

#define THREADS 8
#define ROUNDS	200000

static int64_t ticks, charged[THREADS], waited[THREADS];

static int64_t tick(void)
{
	return __atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
}

/* Every thread waits at one of two locks and charges both; no moment is charged twice. */
static void *come_and_go(void *arg)
{
	long id = (long)arg;

	for (int i = 0; i < ROUNDS; i++) {
		const void *lock = LOCK((i + id) % 2);
		int64_t start = tick();
		struct waiters_slot *s = waiters_add(lock, start);

		charged[id] += waiters_charge(LOCK(0), tick());
		charged[id] += waiters_charge(LOCK(1), tick());
		if (s)
			waiters_remove(s, lock, start);
		waited[id] += tick() - start;
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
	ck_assert_int_gt(all_charged, all_waited / 100);
	ck_assert_int_le(all_charged, all_waited);
	ck_assert(!waiters_maybe(LOCK(0)) && !waiters_maybe(LOCK(1)));
	ck_assert_int_eq(waiters_charge(LOCK(0), tick() + 1000000), 0);
	ck_assert_int_eq(waiters_charge(LOCK(1), tick() + 1000000), 0);
	ck_assert_uint_eq(counter_get(COUNTER_MUTEX_WAITERS_UNSEEN), 0);
}
END_TEST

/* More locks than slots, so that slots change hands all the time. */
static void *wander(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		const void *lock = LOCK((unsigned)(i * 7919 + (long)arg * 104729) % 3000);
		int64_t start = tick();
		struct waiters_slot *s = waiters_add(lock, start);

		charged[(long)arg] += waiters_charge(lock, tick());
		if (s)
			waiters_remove(s, lock, start);
		waited[(long)arg] += tick() - start;
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
		ck_assert_int_eq(waiters_charge(LOCK(i), tick() + 1000000), 0);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("waiters");
	Suite *s = suite_create("waiters");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, nobody_waits_at_first);
	tcase_add_test(t, one_waiter_is_charged_once_for_each_moment);
	tcase_add_test(t, ten_waiters_of_10_ms_are_100_ms);
	tcase_add_test(t, who_comes_and_goes_between_charges_leaves_no_trace);
	tcase_add_test(t, a_waiter_that_is_noted_late_counts_from_the_charge_on);
	tcase_add_test(t, locks_are_charged_apart);
	tcase_add_test(t, more_locks_than_there_is_room_for_are_counted);
	tcase_add_test(t, slots_serve_again);
	tcase_add_test(t, sums_that_do_not_fit_saturate);
	tcase_add_test(t, threads_never_charge_more_than_was_waited);
	tcase_add_test(t, slots_that_change_hands_keep_their_sums);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
