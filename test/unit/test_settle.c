/* Who unloads code waits for the stacks that were captured in it. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "sampler/code.h"
#include "sampler/counters.h"
#include "sampler/hook_walk.h"
#include "sampler/modules.h"
#include "sampler/own_stack.h"
#include "sampler/settle.h"
#include "sampler/site_at.h"
#include "sampler/sys.h"
#include "sampler/wake.h"
#include "shim/cc.h"

SITE_TABLE(table, 32UL << 20, COUNTER_HEAP_SITES_FOLDED, COUNTER_HEAP_STACKS_UNKNOWN);

static int wake_fd;
static volatile long keep_frame;

/* Signals of the listener's are blocked, as in its thread. */
static void setup(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	own_stack_set_main(environ); /* near the top, as argv is */
	modules_init();
	code_refresh();
	wake_fd = wake_open();
	ck_assert_int_ge(wake_fd, 0);
}

/* No row is known: it is left to the listener. */
NOINLINE static struct site *meet_new_stack(void)
{
	struct site *s = site_at(&table, 0, CALLER());

	keep_frame++;
	return s;
}

/* The listener's. */
static void pass(void)
{
	settle_pass_begins();
	site_at_drain();
	settle_pass_ends();
}

static bool is_woken(void)
{
	struct pollfd p = { wake_fd, POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

static bool is_known(struct site *s)
{
	return atomic_load(&s->resolved) != NULL;
}

START_TEST(nothing_on_its_way_is_not_waited_for)
{
	settle_before_unload();
	ck_assert(!is_woken());
	ck_assert_uint_eq(counter_get(COUNTER_UNLOADS_NOT_AWAITED), 0);
}
END_TEST

START_TEST(without_a_listener_nobody_waits)
{
	meet_new_stack();
	wake_after_fork();
	settle_before_unload();
	ck_assert_uint_eq(counter_get(COUNTER_UNLOADS_NOT_AWAITED), 0);
}
END_TEST

START_TEST(a_listener_that_does_not_come_is_waited_for_2_ms_and_counted)
{
	int64_t before = sys_now_ns();

	meet_new_stack();
	settle_before_unload();
	ck_assert_int_ge(sys_now_ns() - before, 2 * NS_PER_MS);
	ck_assert(is_woken());
	ck_assert_uint_eq(counter_get(COUNTER_UNLOADS_NOT_AWAITED), 1);
}
END_TEST

/* Its time limit may pass before we drain, and then it counts; but it never returns early. */
static void *unload(void *first)
{
	settle_before_unload();
	ck_assert(is_known(first) || counter_get(COUNTER_UNLOADS_NOT_AWAITED) == 1);
	return NULL;
}

START_TEST(who_unloads_waits_until_stacks_are_followed)
{
	struct pollfd p = { wake_fd, POLLIN, 0 };
	struct site *first = meet_new_stack();
	pthread_t thread;

	pthread_create(&thread, NULL, unload, first);
	ck_assert_int_eq(poll(&p, 1, -1), 1);
	pass();
	pthread_join(thread, NULL);
	ck_assert(is_known(first));
}
END_TEST

START_TEST(a_pass_that_is_under_way_is_not_enough)
{
	struct pollfd p = { wake_fd, POLLIN, 0 };
	struct site *first = meet_new_stack();
	pthread_t thread;

	settle_pass_begins();
	pthread_create(&thread, NULL, unload, first);
	ck_assert_int_eq(poll(&p, 1, -1), 1);
	settle_pass_ends();
	pass();
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("settle");
	Suite *s = suite_create("settle");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, nothing_on_its_way_is_not_waited_for);
	tcase_add_test(t, without_a_listener_nobody_waits);
	tcase_add_test(t, a_listener_that_does_not_come_is_waited_for_2_ms_and_counted);
	tcase_add_test(t, who_unloads_waits_until_stacks_are_followed);
	tcase_add_test(t, a_pass_that_is_under_way_is_not_enough);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
