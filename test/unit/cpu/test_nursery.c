/* What children of a profiled process leave of their ticks, and what becomes of nonsense. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/arch/arch.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/nursery_handler.h"

static struct thread thread;
static ucontext_t uc;
static uint64_t stack[4096];
static int taken, last_pid;
static int64_t last_weight;
static uint64_t last_word;

static void take(const struct nursery_tick *tick)
{
	taken++;
	last_pid = tick->pid;
	last_weight = tick->weight_ns;
	ck_assert(capture_load(tick->capture, (uint64_t)&stack[100], &last_word));
}

static void ignore(const struct nursery_tick *tick)
{
	(void)tick;
	taken++;
}

static void setup(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(stack); i++)
		stack[i] = i * 3;
	thread.tid = sys_gettid();
	thread.stack_lo = (uint64_t)stack;
	thread.stack_hi = (uint64_t)(stack + ARRAY_SIZE(stack));
	thread.slice_limit = SLICE_BYTES;
	uc.uc_mcontext.gregs[REG_RSP] = (greg_t)&stack[64];
	taken = 0;
	nursery_open(sys_now_ns() + 60 * NS_PER_SECOND);
	ck_assert(nursery_is_open());
}

static void teardown(void)
{
	nursery_close();
	ck_assert(!nursery_is_open());
	nursery_release();
}

START_TEST(nursery__a_child_leaves_its_tick)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		nursery_after_fork();
		nursery_join();
		stack[100] = 4711;
		thread.tid = sys_gettid();
		_exit(nursery_take(&thread, &uc, 12345) ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	nursery_drain(take);
	ck_assert_int_eq(taken, 1);
	ck_assert_int_eq(last_pid, pid);
	ck_assert_int_eq(last_weight, 12345);
	ck_assert_uint_eq(last_word, 4711);
	nursery_drain(take);
	ck_assert_int_eq(taken, 1);
}
END_TEST

START_TEST(nursery__counts_who_came_and_who_said_that_it_goes)
{
	struct nursery_counts c;

	nursery_join();
	c = nursery_count();
	ck_assert_int_eq(c.born, 1);
	ck_assert_int_eq(c.ended, 0);
	nursery_note_exec(); /* it failed */
	ck_assert_int_eq(nursery_count().tails_ns, 0);
	nursery_note_exit();
	ck_assert_int_gt(nursery_count().tails_ns, 0);
	nursery_leave();
	c = nursery_count();
	ck_assert_int_eq(c.ended, 1);
	ck_assert_int_gt(c.ended_ns, 0);
	ck_assert_int_le(c.ended_ns, sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}
END_TEST

START_TEST(nursery__beyond_its_places_ticks_are_counted)
{
	int64_t lost = counter_get(COUNTER_NURSERY_LOST);

	for (int i = 0; i < NURSERY_PLACES + 3; i++)
		ck_assert(nursery_take(&thread, &uc, 1));
	nursery_drain(ignore);
	ck_assert_int_eq(taken, NURSERY_PLACES);
	ck_assert_int_eq(counter_get(COUNTER_NURSERY_LOST) - lost, 3);
}
END_TEST

START_TEST(nursery__nonsense_is_not_followed)
{
	int64_t nonsense = counter_get(COUNTER_NURSERY_NONSENSE);
	struct nursery_place *p = nursery_place(nursery.memory, 0);

	for (int i = 0; i < 5; i++) {
		ck_assert(nursery_take(&thread, &uc, 1));
		if (i == 0)
			p->capture.slice_len = UINT32_MAX;
		if (i == 1)
			p->capture.more[0].len = UINT64_MAX;
		if (i == 2)
			p->capture.more[2].len = NURSERY_CAPTURE_BYTES;
		if (i == 3)
			p->pid = -1;
		if (i == 4)
			p->capture.weight_ns = INT64_MIN;
		nursery_drain(ignore);
	}
	ck_assert_int_eq(taken, 0);
	ck_assert_int_eq(counter_get(COUNTER_NURSERY_NONSENSE) - nonsense, 5);
}
END_TEST

START_TEST(nursery__who_is_not_wanted_any_more_is_told)
{
	nursery_close();
	ck_assert(!nursery_take(&thread, &uc, 1));
	nursery_open(sys_now_ns() + NS_PER_SECOND);
	ck_assert(nursery_take(&thread, &uc, 1));
	nursery.until_ns = sys_now_ns() - NS_PER_SECOND; /* who closes it was killed */
	ck_assert(!nursery_take(&thread, &uc, 1));
}
END_TEST

/* A child that takes a profile of its own has a nursery of its own, and leaves its parent's. */
START_TEST(nursery__what_is_inherited_is_left_alone)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct nursery_memory *inherited = nursery.memory;

		nursery_after_fork();
		nursery_close();
		nursery_release();
		nursery_drain(ignore);
		if (!atomic_load(&inherited->is_open) || nursery.memory != inherited)
			_exit(1);
		nursery_open(sys_now_ns() + NS_PER_SECOND);
		_exit(nursery.memory == inherited || !nursery_is_open());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(nursery_is_open());
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("nursery");
	Suite *s = suite_create("nursery");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nursery__a_child_leaves_its_tick);
	tcase_add_test(t, nursery__counts_who_came_and_who_said_that_it_goes);
	tcase_add_test(t, nursery__beyond_its_places_ticks_are_counted);
	tcase_add_test(t, nursery__nonsense_is_not_followed);
	tcase_add_test(t, nursery__who_is_not_wanted_any_more_is_told);
	tcase_add_test(t, nursery__what_is_inherited_is_left_alone);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
