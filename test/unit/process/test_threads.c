/* Records of sampled threads, and the roster that keeps a timer on each. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/roster.h"
#include "sampler/cpu/timers.h"
#include "sampler/process/threads.h"

static void setup(void)
{
	ck_assert_int_eq(threads_open(), 0);
}

static void teardown(void)
{
	threads_close();
}

static void count_one(struct thread *t, void *arg)
{
	(void)t;
	(*(int *)arg)++;
}

static int records_in_use(void)
{
	int n = 0;

	threads_each(count_one, &n);
	return n;
}

/* ---- records */

/* As the machine of cpu/arm.c ends it. */
static void end_record(struct thread *t)
{
	atomic_store(&t->state, THREAD_ENDED);
}

START_TEST(threads__a_claimed_record_is_fresh_and_unarmed)
{
	struct thread *t = thread_claim(77);

	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->tid, 77);
	ck_assert_int_eq(t->state, THREAD_UNARMED);
	ck_assert_uint_eq(t->stack_hi, 0);
	ck_assert_int_eq(records_in_use(), 1);
}
END_TEST

START_TEST(threads__a_recycled_record_remembers_nothing)
{
	struct thread *t = thread_claim(77), *again;

	t->tp = 1;
	t->stack_lo = 2;
	t->stack_hi = 3;
	t->cpu_seen_ns = 4;
	t->ticks_seen = 5;
	t->counted = true;
	t->paused_left_ns = 6;
	end_record(t);
	thread_recycle(t);
	again = thread_claim(78);
	ck_assert_ptr_eq(again, t);
	ck_assert_int_eq(again->tid, 78);
	ck_assert_uint_eq(again->tp, 0);
	ck_assert_uint_eq(again->stack_lo, 0);
	ck_assert_uint_eq(again->stack_hi, 0);
	ck_assert_int_eq(again->cpu_seen_ns, 0);
	ck_assert_uint_eq(again->ticks_seen, 0);
	ck_assert(!again->counted);
	ck_assert_int_eq(again->paused_left_ns, 0);
}
END_TEST

START_TEST(threads__records_stay_dense)
{
	struct thread *t[200];

	for (int i = 0; i < 200; i++) {
		t[i] = thread_claim(1000 + i);
		ck_assert_ptr_eq(t[i], t[0] + i);
	}
	for (int i = 20; i < 100; i++)
		thread_recycle(t[i]);
	ck_assert_int_eq(records_in_use(), 120);
	for (int i = 20; i < 100; i++)
		ck_assert_ptr_eq(thread_claim(2000 + i), t[i]);
	ck_assert_ptr_eq(thread_claim(1), t[0] + 200);
}
END_TEST

START_TEST(threads__an_ended_record_is_not_free_until_recycled)
{
	struct thread *t = thread_claim(5);

	end_record(t);
	ck_assert_int_eq(records_in_use(), 1);
	ck_assert_ptr_ne(thread_claim(6), t);
	thread_recycle(t);
	ck_assert_int_eq(records_in_use(), 1);
	ck_assert_ptr_eq(thread_claim(7), t);
}
END_TEST

START_TEST(threads__all_can_be_taken_and_no_more)
{
	struct thread *first = thread_claim(1);

	for (int i = 1; i < THREADS_MAX; i++)
		ck_assert_ptr_eq(thread_claim(i + 1), first + i);
	ck_assert_ptr_null(thread_claim(THREADS_MAX + 1));
	ck_assert_int_eq(records_in_use(), THREADS_MAX);
	thread_recycle(first + 12345);
	ck_assert_ptr_eq(thread_claim(9), first + 12345);
	ck_assert_ptr_null(thread_claim(10));
}
END_TEST

START_TEST(threads__close_frees_all_and_keeps_the_region)
{
	struct thread *first = thread_claim(1);

	thread_claim(2);
	threads_close();
	ck_assert_int_eq(records_in_use(), 0);
	ck_assert_ptr_eq(thread_from_cookie(first), first); /* a late tick */
	ck_assert_int_eq(first->state, THREAD_FREE);
	ck_assert_int_eq(threads_open(), 0);
	ck_assert_ptr_eq(thread_claim(3), first);
}
END_TEST

/* ---- cookies */

START_TEST(threads__a_cookie_is_any_record)
{
	struct thread *first = thread_claim(1);

	ck_assert_ptr_eq(thread_from_cookie(first), first);
	ck_assert_ptr_eq(thread_from_cookie(first + THREADS_MAX - 1), first + THREADS_MAX - 1);
}
END_TEST

START_TEST(threads__a_hostile_cookie_is_none_of_ours)
{
	char *first = (char *)thread_claim(1);
	const void *hostile[] = {
		NULL,
		(void *)1,
		(void *)UINTPTR_MAX,
		(void *)(1UL << 63),
		&first,
		first - 1,
		first - sizeof(struct thread),
		first + 1,
		first + 8,
		first + sizeof(struct thread) - 1,
		first + sizeof(struct thread) * THREADS_MAX,
		first + sizeof(struct thread) * THREADS_MAX - 1,
		first + sizeof(struct thread) * (THREADS_MAX + 1),
	};

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++)
		ck_assert_msg(!thread_from_cookie(hostile[i]), "cookie %zu", i);
}
END_TEST

START_TEST(threads__before_the_region_is_made_nothing_is_ours)
{
	static const uintptr_t cookies[] = { 0, 8, sizeof(struct thread), UINTPTR_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(cookies); i++)
		ck_assert_ptr_null(thread_from_cookie((void *)cookies[i]));
	ck_assert_ptr_null(thread_claim(1));
	ck_assert_ptr_null(thread_self());
	ck_assert_int_eq(records_in_use(), 0);
}
END_TEST

/* ---- self */

START_TEST(threads__self_is_found_by_tid)
{
	struct thread *mine;

	thread_claim(1);
	ck_assert_ptr_null(thread_self());
	mine = thread_claim(sys_gettid());
	thread_claim(2);
	ck_assert_ptr_eq(thread_self(), mine);
	ck_assert_ptr_eq(thread_self(), mine);
}
END_TEST

START_TEST(threads__self_is_nobody_once_ended)
{
	struct thread *mine = thread_claim(sys_gettid());

	ck_assert_ptr_eq(thread_self(), mine);
	end_record(mine);
	ck_assert_ptr_null(thread_self());
	thread_recycle(mine);
	ck_assert_ptr_null(thread_self());
}
END_TEST

START_TEST(threads__self_does_not_trust_a_record_that_became_anothers)
{
	struct thread *mine = thread_claim(sys_gettid());

	thread_remember_self(mine);
	end_record(mine);
	thread_recycle(mine);
	ck_assert_ptr_eq(thread_claim(1), mine);
	ck_assert_ptr_null(thread_self());
}
END_TEST

START_TEST(threads__self_prefers_the_live_record_to_an_ended_one)
{
	struct thread *old = thread_claim(sys_gettid()), *new;

	thread_remember_self(old);
	end_record(old);
	new = thread_claim(sys_gettid());
	ck_assert_ptr_eq(thread_self(), new);
}
END_TEST

static void *self_of_another(void *arg)
{
	(void)arg;
	return thread_self();
}

START_TEST(threads__self_is_not_inherited)
{
	pthread_t thread;
	void *other = &thread;

	thread_remember_self(thread_claim(sys_gettid()));
	pthread_create(&thread, NULL, self_of_another, NULL);
	pthread_join(thread, &other);
	ck_assert_ptr_null(other);
}
END_TEST

/* ---- claiming from many threads */

#define CLAIMERS 4
#define CLAIMS	 2000

static atomic_int doubled;

static void *claim_and_recycle(void *arg)
{
	struct thread *mine[8] = { NULL };
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < CLAIMS; i++) {
		struct thread **slot = &mine[i % 8];

		if (*slot) {
			doubled += (*slot)->tid != me;
			end_record(*slot);
			thread_recycle(*slot);
		}
		*slot = thread_claim(me);
	}
	return NULL;
}

START_TEST(threads__no_record_is_given_to_two)
{
	pthread_t thread[CLAIMERS];

	for (intptr_t i = 0; i < CLAIMERS; i++)
		pthread_create(&thread[i], NULL, claim_and_recycle, (void *)(i + 1));
	for (int i = 0; i < CLAIMERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(doubled, 0);
	ck_assert_int_eq(records_in_use(), CLAIMERS * 8);
}
END_TEST

/* ---- the roster: this thread is the listener */

#define PERIOD (10 * NS_PER_MS)

static atomic_int ticks, foreign_ticks;
static atomic_bool quit;
static pthread_barrier_t ready;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	struct thread *t = thread_from_cookie(info->si_value.sival_ptr);

	(void)sig, (void)context;
	ticks++;
	foreign_ticks += !t || t->tid != sys_gettid();
}

static void setup_roster(void)
{
	struct sigaction act = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(SIGPROF, &act, NULL);
	timers_budget();
}

static void teardown_roster(void)
{
	roster_close();
	ck_assert(roster_is_quiet());
	roster_release();
}

static void *sleeper(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	if (arg)
		sigaddset(&set, SIGPROF);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	pthread_barrier_wait(&ready);
	while (!quit)
		usleep(1000);
	return NULL;
}

static void *burner(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&ready);
	while (!quit)
		;
	return NULL;
}

static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_barrier_init(&ready, NULL, 2);
	ck_assert_int_eq(pthread_create(thread, NULL, fn, arg), 0);
	pthread_barrier_wait(&ready);
}

static void expect_counts(uint32_t armed, uint32_t unarmed)
{
	ck_assert_uint_eq(roster_count().armed, armed);
	ck_assert_uint_eq(roster_count().unarmed, unarmed);
}

START_TEST(roster__arms_every_thread_but_the_listener)
{
	pthread_t thread[3];

	for (int i = 0; i < 3; i++)
		start(&thread[i], sleeper, NULL);
	ck_assert(!roster_is_open());
	ck_assert_int_eq(roster_open(SIGPROF, PERIOD), 0);
	ck_assert(roster_is_open());
	expect_counts(3, 0);
	roster_scan();
	expect_counts(3, 0);
	ck_assert_int_eq(records_in_use(), 3);
	teardown_roster();
	ck_assert(!roster_is_open());
	ck_assert_int_eq(records_in_use(), 0);
}
END_TEST

static int accounted_for;

static void account_for(const struct thread *t)
{
	ck_assert_int_eq(t->state, THREAD_ENDED);
	accounted_for++;
}

/* Twice, and the next scan takes their records back. */
static void settle(void)
{
	roster_settle_ended(account_for);
	ck_assert_int_eq(accounted_for, 0); /* their last ticks may be on their way */
	roster_settle_ended(account_for);
	roster_settle_ended(account_for);
	roster_scan();
}

START_TEST(roster__notices_threads_that_come_and_go)
{
	pthread_t first, second;

	ck_assert_int_eq(roster_open(SIGPROF, PERIOD), 0);
	expect_counts(0, 0);
	start(&first, sleeper, NULL);
	start(&second, sleeper, NULL);
	roster_scan();
	expect_counts(2, 0);
	quit = true;
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	roster_scan(); /* sees that they are gone */
	ck_assert_int_eq(records_in_use(), 2);
	settle();
	ck_assert_int_eq(accounted_for, 2);
	expect_counts(0, 0);
	ck_assert_int_eq(records_in_use(), 0);
	teardown_roster();
}
END_TEST

START_TEST(roster__a_thread_that_blocks_the_signal_gets_no_timer)
{
	pthread_t open, blocking;

	start(&open, sleeper, NULL);
	start(&blocking, sleeper, &blocking);
	ck_assert_int_eq(roster_open(SIGPROF, PERIOD), 0);
	expect_counts(1, 1);
	teardown_roster();
}
END_TEST

START_TEST(roster__ticks_go_to_the_thread_that_burns_and_end_with_it)
{
	pthread_t busy, idle;
	int before;

	start(&busy, burner, NULL);
	start(&idle, sleeper, NULL);
	ck_assert_int_eq(roster_open(SIGPROF, PERIOD), 0);
	while (ticks < 5)
		usleep(1000);
	roster_close();
	before = ticks;
	while (thread_cpu_ns(sys_gettid()) < 50 * NS_PER_MS)
		;
	ck_assert_int_le(ticks, before + 1); /* one may have been on its way */
	ck_assert_int_eq(foreign_ticks, 0);
	teardown_roster();
}
END_TEST

static void *own_life(void *arg)
{
	const struct thread *t;
	sigset_t set;

	(void)arg;
	roster_thread_starts(0);
	t = thread_self();
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->state, THREAD_ARMED);
	roster_thread_blocks();
	ck_assert_int_eq(t->state, THREAD_PAUSED);
	roster_thread_blocks();
	ck_assert_int_eq(t->state, THREAD_PAUSED);
	sigemptyset(&set);
	roster_thread_unblocks();
	ck_assert_int_eq(t->state, THREAD_ARMED);
	roster_thread_ends();
	ck_assert_int_eq(t->state, THREAD_ENDED);
	ck_assert_ptr_null(thread_self());
	roster_thread_ends();
	roster_thread_blocks();
	roster_thread_unblocks();
	return NULL;
}

START_TEST(roster__a_hooked_thread_arms_pauses_and_ends_itself)
{
	pthread_t thread;

	ck_assert_int_eq(roster_open(SIGPROF, PERIOD), 0);
	pthread_create(&thread, NULL, own_life, NULL);
	pthread_join(thread, NULL);
	settle();
	ck_assert_int_eq(accounted_for, 1);
	ck_assert_int_eq(records_in_use(), 0);
	teardown_roster();
}
END_TEST

START_TEST(roster__hooks_do_nothing_while_it_is_closed)
{
	roster_thread_starts(0);
	ck_assert_ptr_null(thread_self());
	roster_thread_blocks();
	roster_thread_unblocks();
	roster_thread_ends();
	ck_assert(roster_is_quiet());
}
END_TEST

START_TEST(roster__opens_again)
{
	pthread_t thread;

	start(&thread, sleeper, NULL);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(roster_open(SIGPROF, PERIOD), 0);
		expect_counts(1, 0);
		roster_change_period(PERIOD / 2);
		teardown_roster();
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("threads");
	TCase *closed = tcase_create("closed");
	TCase *roster = tcase_create("roster");
	Suite *s = suite_create("threads");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, threads__a_claimed_record_is_fresh_and_unarmed);
	tcase_add_test(t, threads__a_recycled_record_remembers_nothing);
	tcase_add_test(t, threads__records_stay_dense);
	tcase_add_test(t, threads__an_ended_record_is_not_free_until_recycled);
	tcase_add_test(t, threads__all_can_be_taken_and_no_more);
	tcase_add_test(t, threads__close_frees_all_and_keeps_the_region);
	tcase_add_test(t, threads__a_cookie_is_any_record);
	tcase_add_test(t, threads__a_hostile_cookie_is_none_of_ours);
	tcase_add_test(t, threads__self_is_found_by_tid);
	tcase_add_test(t, threads__self_is_nobody_once_ended);
	tcase_add_test(t, threads__self_does_not_trust_a_record_that_became_anothers);
	tcase_add_test(t, threads__self_prefers_the_live_record_to_an_ended_one);
	tcase_add_test(t, threads__self_is_not_inherited);
	tcase_add_test(t, threads__no_record_is_given_to_two);
	suite_add_tcase(s, t);
	tcase_add_test(closed, threads__before_the_region_is_made_nothing_is_ours);
	suite_add_tcase(s, closed);
	tcase_add_checked_fixture(roster, setup_roster, NULL);
	tcase_add_test(roster, roster__arms_every_thread_but_the_listener);
	tcase_add_test(roster, roster__notices_threads_that_come_and_go);
	tcase_add_test(roster, roster__a_thread_that_blocks_the_signal_gets_no_timer);
	tcase_add_test(roster, roster__ticks_go_to_the_thread_that_burns_and_end_with_it);
	tcase_add_test(roster, roster__a_hooked_thread_arms_pauses_and_ends_itself);
	tcase_add_test(roster, roster__hooks_do_nothing_while_it_is_closed);
	tcase_add_test(roster, roster__opens_again);
	suite_add_tcase(s, roster);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
