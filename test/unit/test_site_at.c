/* Stacks on their way to the listener, and who is woken for them. */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "sampler/code.h"
#include "sampler/counters.h"
#include "sampler/hook_walk.h"
#include "sampler/modules.h"
#include "sampler/own_stack.h"
#include "sampler/rows.h"
#include "sampler/site_at.h"
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
	sigprocmask(SIG_BLOCK, &all, NULL);
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

static bool is_woken(void)
{
	struct pollfd p = { wake_fd, POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

static bool is_known(struct site *s)
{
	return atomic_load(&s->resolved) != NULL;
}

START_TEST(one_stack_wakes_nobody_and_the_second_does)
{
	struct site *first = meet_new_stack(), *second;

	ck_assert(!is_woken());
	second = meet_new_stack();
	ck_assert(is_woken());
	site_at_drain();
	ck_assert(is_known(first) && is_known(second));
}
END_TEST

START_TEST(after_a_drain_one_is_alone_again)
{
	meet_new_stack();
	site_at_drain();
	rows_release();
	meet_new_stack();
	ck_assert(!is_woken());
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("site_at");
	Suite *s = suite_create("site_at");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, one_stack_wakes_nobody_and_the_second_does);
	tcase_add_test(t, after_a_drain_one_is_alone_again);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
