/* The timer of one record: no tick waits behind a mask. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/arm.h"
#include "sampler/cpu/roster.h"
#include "sampler/cpu/timers.h"

#define PERIOD (1 * NS_PER_MS)

static atomic_int ticks;
static struct thread *mine;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	ticks++;
}

static void setup(void)
{
	struct sigaction act = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(SIGPROF, &act, NULL);
	ck_assert_int_eq(threads_open(), 0);
	timers_budget();
	mine = thread_claim(sys_gettid());
}

static void teardown(void)
{
	arm_end(mine);
	threads_close();
}

static void mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPROF);
	pthread_sigmask(how, &set, NULL);
}

static bool is_pending(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGPROF) == 1;
}

static void burn_until_pending(void)
{
	while (!is_pending())
		;
}

static void burn(int64_t ns)
{
	int64_t until = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

START_TEST(arm__a_timer_runs_until_it_is_paused_and_on_when_resumed)
{
	arm_self(mine, SIGPROF, PERIOD);
	ck_assert_int_eq(mine->state, THREAD_ARMED);
	while (!ticks)
		;
	arm_pause(mine);
	ck_assert_int_eq(mine->state, THREAD_PAUSED);
	mask(SIG_BLOCK);
	burn(20 * PERIOD);
	ck_assert(!is_pending());
	mask(SIG_UNBLOCK);
	arm_resume_self(mine);
	ck_assert_int_eq(mine->state, THREAD_ARMED);
	for (ticks = 0; !ticks;)
		;
}
END_TEST

/* The listener looked at the mask, then the thread blocks, then the listener would start. */
START_TEST(arm__no_timer_when_the_mask_changes_after_the_listener_read_it)
{
	mask(SIG_BLOCK);
	arm_pause_late(mine, SIGPROF);
	ck_assert_int_eq(mine->state, THREAD_PAUSED);
	arm_self(mine, SIGPROF, PERIOD);
	ck_assert_int_eq(mine->state, THREAD_PAUSED);
	ck_assert_int_eq(mine->timer, -1);
	mask(SIG_UNBLOCK);
	arm_resume_self(mine);
	ck_assert_int_eq(mine->state, THREAD_UNARMED);
	arm_self(mine, SIGPROF, PERIOD);
	ck_assert_int_eq(mine->state, THREAD_ARMED);
}
END_TEST

START_TEST(arm__a_tick_that_came_behind_the_mask_is_dropped)
{
	mask(SIG_BLOCK);
	arm_self(mine, SIGPROF, PERIOD); /* as one who looked before the mask changed */
	burn_until_pending();
	arm_pause_late(mine, SIGPROF);
	ck_assert(!is_pending());
	burn(20 * PERIOD);
	ck_assert(!is_pending());
	mask(SIG_UNBLOCK);
	ck_assert_int_eq(ticks, 0);
}
END_TEST

START_TEST(arm__a_signal_of_the_target_is_kept)
{
	mask(SIG_BLOCK);
	pthread_kill(pthread_self(), SIGPROF);
	arm_drop_pending(SIGPROF);
	ck_assert(is_pending());
	mask(SIG_UNBLOCK);
	ck_assert_int_eq(ticks, 1);
}
END_TEST

START_TEST(arm__a_start_that_does_not_end_is_counted_and_not_awaited)
{
	mask(SIG_BLOCK);
	mine->state = THREAD_BUSY;
	arm_pause_late(mine, SIGPROF);
	ck_assert_uint_eq(counter_get(COUNTER_CPU_TIMER_WAITS_TIMED_OUT), 1);
	ck_assert_int_eq(mine->state, THREAD_BUSY);
}
END_TEST

START_TEST(arm__a_thread_that_blocks_is_counted_once)
{
	mask(SIG_BLOCK);
	arm_other(mine, SIGPROF, PERIOD);
	arm_other(mine, SIGPROF, PERIOD);
	ck_assert_int_eq(mine->state, THREAD_UNARMED);
	ck_assert_uint_eq(counter_get(COUNTER_CPU_THREADS_BLOCKED), 1);
	mask(SIG_UNBLOCK);
	arm_other(mine, SIGPROF, PERIOD);
	ck_assert_int_eq(mine->state, THREAD_ARMED);
	arm_undo(mine, COUNTER_CPU_THREADS_BLOCKED);
	ck_assert_int_eq(mine->state, THREAD_UNARMED);
	ck_assert_int_eq(mine->timer, -1);
}
END_TEST

/* A jump unblocked the signal and told no hook. */
START_TEST(arm__a_paused_thread_is_resumed)
{
	arm_self(mine, SIGPROF, PERIOD);
	arm_pause(mine);
	arm_resume_other(mine);
	ck_assert_int_eq(mine->state, THREAD_ARMED);
	for (ticks = 0; !ticks;)
		;
	arm_end(mine);
	ck_assert_int_eq(mine->timer, -1);
	arm_resume_other(mine);
	ck_assert_int_eq(mine->state, THREAD_ENDED);
}
END_TEST

START_TEST(arm__one_paused_before_it_had_a_timer_is_only_unarmed)
{
	arm_pause_late(mine, SIGPROF);
	arm_resume_other(mine);
	ck_assert_int_eq(mine->state, THREAD_UNARMED);
}
END_TEST

START_TEST(arm__a_period_changes_only_where_a_timer_runs)
{
	arm_change_period(mine, PERIOD);
	ck_assert_int_eq(mine->state, THREAD_UNARMED);
	arm_self(mine, SIGPROF, 3600 * NS_PER_SECOND);
	arm_change_period(mine, PERIOD);
	ck_assert_int_eq(mine->state, THREAD_ARMED);
	while (!ticks)
		;
}
END_TEST

START_TEST(arm__once_is_ended_by_one)
{
	ck_assert(arm_once(mine, SIGPROF));
	while (!ticks)
		;
	ck_assert(arm_end_once(mine));
	ck_assert(!arm_end_once(mine));
	ck_assert_int_eq(mine->state, THREAD_ENDED);
}
END_TEST

START_TEST(arm__once_comes_not_behind_the_mask)
{
	mask(SIG_BLOCK);
	ck_assert(!arm_once(mine, SIGPROF));
	ck_assert_int_eq(mine->state, THREAD_ENDED);

	mine->state = THREAD_UNARMED;
	ck_assert(!arm_end_once_late(mine, SIGPROF));
	ck_assert_int_eq(mine->state, THREAD_ENDED);

	mine->state = THREAD_UNARMED;
	mask(SIG_UNBLOCK);
	mine->tid = sys_getpid(); /* this thread: what arm_once() looks at */
	ck_assert(arm_once(mine, SIGPROF));
	mask(SIG_BLOCK);
	ck_assert(arm_end_once_late(mine, SIGPROF));
	ck_assert(!is_pending());
	mask(SIG_UNBLOCK);
}
END_TEST

/* ---- a thread that blocks and unblocks all the time, and a listener that opens and closes */

static atomic_bool quit;
static atomic_int seen;

static void *toggle(void *unused)
{
	while (!quit) {
		roster_thread_blocks();
		mask(SIG_BLOCK);
		roster_thread_blocked();
		burn(NS_PER_MS / 10);
		seen += is_pending();
		mask(SIG_UNBLOCK);
		roster_thread_unblocks();
		burn(NS_PER_MS / 10);
	}
	return unused;
}

START_TEST(arm__no_tick_is_seen_by_threads_that_block_while_profiles_come_and_go)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, toggle, NULL);
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(roster_open(SIGPROF, NS_PER_MS / 10), 0);
		for (ticks = 0; !ticks;)
			roster_scan();
		roster_change_period(NS_PER_MS / 5);
		roster_close();
		while (!roster_is_quiet())
			;
		roster_release();
	}
	quit = true;
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	/* A listener that gets no processor for 2 ms is not awaited, and that is counted. */
	ck_assert_int_le(seen, (int)counter_get(COUNTER_CPU_TIMER_WAITS_TIMED_OUT));
}
END_TEST

int main(void)
{
	TCase *one = tcase_create("one record");
	TCase *many = tcase_create("a roster");
	Suite *s = suite_create("arm");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(one, setup, teardown);
	tcase_add_test(one, arm__a_timer_runs_until_it_is_paused_and_on_when_resumed);
	tcase_add_test(one, arm__no_timer_when_the_mask_changes_after_the_listener_read_it);
	tcase_add_test(one, arm__a_tick_that_came_behind_the_mask_is_dropped);
	tcase_add_test(one, arm__a_signal_of_the_target_is_kept);
	tcase_add_test(one, arm__a_start_that_does_not_end_is_counted_and_not_awaited);
	tcase_add_test(one, arm__a_thread_that_blocks_is_counted_once);
	tcase_add_test(one, arm__a_paused_thread_is_resumed);
	tcase_add_test(one, arm__one_paused_before_it_had_a_timer_is_only_unarmed);
	tcase_add_test(one, arm__a_period_changes_only_where_a_timer_runs);
	tcase_add_test(one, arm__once_is_ended_by_one);
	tcase_add_test(one, arm__once_comes_not_behind_the_mask);
	tcase_add_checked_fixture(many, setup, NULL);
	tcase_add_test(many, arm__no_tick_is_seen_by_threads_that_block_while_profiles_come_and_go);
	suite_add_tcase(s, one);
	suite_add_tcase(s, many);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
