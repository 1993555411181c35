/*
 * Masks of handlers that run on alternate stacks, as the hook of sigaction() sets them and a
 * profile changes them.  The target is this process: each test has one of its own.
 */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sampler/base/counters.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/kernel_action.h"

static void target_handler(int sig)
{
	(void)sig;
}

static struct sigaction wanted(void (*handler)(int), int flags, int also_blocked)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags };

	sigemptyset(&act.sa_mask);
	if (also_blocked)
		act.sa_mask.__val[0] |= SIGNAL_BIT(also_blocked); /* sigaddset() refuses CARRIER */
	return act;
}

static void hooked(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction set = act ? *act : (struct sigaction){ .sa_flags = 0 };
	struct action_asked asked = { (void *)set.sa_handler, (unsigned)set.sa_flags,
				      set.sa_mask.__val[0] };
	struct action_change c;

	action_mask_begin(&c, act ? &asked : NULL);
	if (c.adds)
		set.sa_mask.__val[0] |= SIGNAL_BIT(CARRIER);
	ck_assert_int_eq(sigaction(sig, act ? &set : NULL, old), 0);
	action_mask_end(old ? (uint64_t *)&old->sa_mask.__val[0] : NULL);
}

static void set_on_stack(int sig, int also_blocked)
{
	struct sigaction act = wanted(target_handler, SA_ONSTACK, also_blocked);

	hooked(sig, &act, NULL);
}

static bool kernel_blocks(int blocked, int in_handler_of)
{
	struct sigaction act;

	ck_assert_int_eq(sigaction(in_handler_of, NULL, &act), 0);
	return sigismember(&act.sa_mask, blocked) == 1;
}

static bool program_reads(int blocked, int in_handler_of)
{
	struct sigaction act;

	hooked(in_handler_of, NULL, &act);
	return sigismember(&act.sa_mask, blocked) == 1;
}

/* As libc's functions that no hook sees, and what was there before us. */
static void set_behind_us(int sig, void (*handler)(int), int flags, uint64_t mask)
{
	const struct kernel_action act = { .handler = (void *)handler,
					   .flags = (unsigned)flags | ARCH_SA_RESTORER,
					   .restorer = (void *)pprofshim_sigreturn,
					   .mask = mask };

	ck_assert_int_eq(kernel_action(sig, &act, NULL), 0);
}

START_TEST(without_a_profile_a_handler_is_as_it_was_set)
{
	set_on_stack(SIGUSR1, 0);
	ck_assert(!kernel_blocks(CARRIER, SIGUSR1));
	action_masks_put_in();
	action_masks_take_out();
	ck_assert(!kernel_blocks(CARRIER, SIGUSR1));
	ck_assert(!kernel_blocks(CARRIER, SIGUSR2));
}
END_TEST

START_TEST(a_handler_on_an_alternate_stack_blocks_the_carrier)
{
	struct sigaction act = wanted(target_handler, 0, 0);

	action_masks_put_in();
	set_on_stack(SIGUSR1, 0);
	ck_assert(kernel_blocks(CARRIER, SIGUSR1));
	ck_assert(!program_reads(CARRIER, SIGUSR1));
	hooked(SIGUSR1, &act, NULL);
	ck_assert(!kernel_blocks(CARRIER, SIGUSR1));
}
END_TEST

START_TEST(so_does_one_that_was_set_before_the_profile)
{
	struct kernel_action before, after;

	set_on_stack(SIGUSR1, SIGUSR2);
	set_behind_us(SIGUSR2, target_handler, 0, 0);
	set_behind_us(SIGTERM, SIG_IGN, SA_ONSTACK, 0);
	kernel_action(SIGUSR1, NULL, &before);
	action_masks_put_in();
	ck_assert(kernel_blocks(CARRIER, SIGUSR1));
	ck_assert(!program_reads(CARRIER, SIGUSR1));
	ck_assert(!kernel_blocks(CARRIER, SIGUSR2));
	ck_assert(!kernel_blocks(CARRIER, SIGTERM));
	action_masks_take_out();
	kernel_action(SIGUSR1, NULL, &after);
	ck_assert_mem_eq(&before, &after, sizeof(before));
}
END_TEST

/* Whoever fills a mask by memset() has both signals that libc keeps. */
START_TEST(what_the_program_has_in_them_stays)
{
	set_behind_us(SIGUSR1, target_handler, SA_ONSTACK, ALL_SIGNALS);
	action_masks_put_in();
	ck_assert(program_reads(CARRIER, SIGUSR1));
	action_masks_take_out();
	ck_assert(kernel_blocks(CARRIER, SIGUSR1));
}
END_TEST

START_TEST(a_child_has_them_as_the_program_set_them)
{
	set_on_stack(SIGUSR1, 0);
	action_masks_put_in();
	action_masks_after_fork();
	ck_assert(!kernel_blocks(CARRIER, SIGUSR1));
	ck_assert(!action_masks_are_in());
	set_on_stack(SIGUSR2, 0);
	ck_assert(!kernel_blocks(CARRIER, SIGUSR2));
}
END_TEST

/* A hook that a handler left by a jump is inside for ever. */
START_TEST(a_call_that_never_returns_does_not_keep_them_out)
{
	struct action_change c;

	set_on_stack(SIGUSR1, 0);
	action_mask_begin(&c, NULL);
	action_masks_put_in();
	ck_assert(kernel_blocks(CARRIER, SIGUSR1));
	ck_assert_int_eq(counter_get(COUNTER_SIGACTION_WAITS_TIMED_OUT), 1);
}
END_TEST

static atomic_bool stop_masks;

static void *put_in_and_take_out(void *rounds)
{
	while (!stop_masks) {
		action_masks_put_in();
		action_masks_take_out();
		++*(int *)rounds;
	}
	return rounds;
}

/* What the program sets is there at once, and until it sets something else. */
START_TEST(what_is_set_while_they_change_is_not_lost)
{
	void (*const handlers[])(int) = { target_handler, SIG_IGN, target_handler, SIG_DFL };
	pthread_t thread;
	int rounds = 0;

	pthread_create(&thread, NULL, put_in_and_take_out, &rounds);
	for (int i = 0; i < 20000; i++) {
		struct sigaction act = wanted(handlers[i % 4], SA_ONSTACK, 0), now;

		hooked(SIGUSR1, &act, NULL);
		hooked(SIGUSR1, NULL, &now);
		ck_assert_ptr_eq(now.sa_handler, act.sa_handler);
		ck_assert_int_eq(sigismember(&now.sa_mask, CARRIER), 0);
	}
	stop_masks = true;
	pthread_join(thread, NULL);
	ck_assert_int_gt(rounds, 1);
	ck_assert(!kernel_blocks(CARRIER, SIGUSR1));
}
END_TEST

/* By a system call in the program's own code: for a moment it may be what it was before. */
START_TEST(what_nobody_tells_of_is_there_at_the_end)
{
	struct kernel_action now;
	pthread_t thread;
	int rounds = 0;

	for (int i = 0; i < 500; i++) {
		stop_masks = false;
		pthread_create(&thread, NULL, put_in_and_take_out, &rounds);
		for (int k = 0; k < 100; k++)
			set_behind_us(SIGUSR1, k % 2 ? SIG_IGN : target_handler, SA_ONSTACK, 0);
		stop_masks = true;
		pthread_join(thread, NULL);
		kernel_action(SIGUSR1, NULL, &now);
		ck_assert_ptr_eq(now.handler, (void *)SIG_IGN);
	}
}
END_TEST

static void other_handler(int sig)
{
	(void)sig;
}

static const void *told(uint64_t blocked, int sig)
{
	return action_mask_tells_handler(blocked | SIGNAL_BIT(CARRIER), SIGNAL_BIT(SIGALRM), sig);
}

/* By what is blocked beside what was, or by the number where the frame has it. */
START_TEST(tell_which_handler_runs)
{
	uint64_t usr1 = SIGNAL_BIT(SIGALRM) | SIGNAL_BIT(SIGUSR1),
		 both = usr1 | SIGNAL_BIT(SIGUSR2);
	struct sigaction other = wanted(other_handler, SA_ONSTACK, SIGUSR1);
	struct sigaction informed = wanted(other_handler, SA_ONSTACK | SA_SIGINFO, SIGUSR2);

	action_masks_put_in();
	set_on_stack(SIGUSR1, 0);
	hooked(SIGUSR2, &other, NULL);
	ck_assert_ptr_eq(told(usr1, 0), (void *)target_handler);
	ck_assert_ptr_eq(told(both, 0), (void *)other_handler);
	ck_assert_ptr_null(told(SIGNAL_BIT(SIGALRM), SIGUSR1));
	set_on_stack(SIGUSR1, SIGUSR2);
	ck_assert_ptr_null(told(both, SIGUSR1));
	hooked(SIGUSR1, &informed, NULL);
	set_on_stack(SIGUSR2, SIGUSR1);
	ck_assert_ptr_null(told(both, SIGUSR2));
	ck_assert_ptr_eq(told(both, SIGUSR1), (void *)other_handler);
}
END_TEST

/* It began before the mask had the carrier; of one that blocks nothing the mask tells nothing. */
START_TEST(tell_whether_a_handler_runs_that_leaves_the_carrier_open)
{
	uint64_t alrm = SIGNAL_BIT(SIGALRM), usr1 = alrm | SIGNAL_BIT(SIGUSR1);

	action_masks_put_in();
	ck_assert(!action_masks_may_be_open(alrm, alrm, true));
	set_on_stack(SIGUSR1, 0);
	ck_assert(action_masks_may_be_open(usr1, alrm, false));
	ck_assert(action_masks_may_be_open(usr1 | SIGNAL_BIT(SIGHUP), alrm, false));
	ck_assert(!action_masks_may_be_open(alrm, alrm, false));
	ck_assert(!action_masks_may_be_open(SIGNAL_BIT(SIGUSR1), alrm, false));
	set_behind_us(SIGUSR2, target_handler, SA_ONSTACK | SA_NODEFER, 0);
	ck_assert(action_masks_may_be_open(alrm, alrm, true));
	ck_assert(!action_masks_may_be_open(alrm, alrm, false));
}
END_TEST

START_TEST(are_hidden_also_in_what_was_before)
{
	struct sigaction act = wanted(target_handler, SA_ONSTACK, 0), old;

	action_masks_put_in();
	set_on_stack(SIGUSR1, 0);
	hooked(SIGUSR1, &act, &old);
	ck_assert_int_eq(sigismember(&old.sa_mask, CARRIER), 0);
	act = wanted(SIG_DFL, 0, 0);
	hooked(SIGUSR1, &act, &old);
	ck_assert_int_eq(sigismember(&old.sa_mask, CARRIER), 0);
	hooked(SIGUSR1, NULL, &old);
	ck_assert_ptr_eq(old.sa_handler, SIG_DFL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("action_masks");
	Suite *s = suite_create("action_masks");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, without_a_profile_a_handler_is_as_it_was_set);
	tcase_add_test(t, a_handler_on_an_alternate_stack_blocks_the_carrier);
	tcase_add_test(t, so_does_one_that_was_set_before_the_profile);
	tcase_add_test(t, what_the_program_has_in_them_stays);
	tcase_add_test(t, a_child_has_them_as_the_program_set_them);
	tcase_add_test(t, a_call_that_never_returns_does_not_keep_them_out);
	tcase_add_test(t, what_is_set_while_they_change_is_not_lost);
	tcase_add_test(t, what_nobody_tells_of_is_there_at_the_end);
	tcase_add_test(t, tell_which_handler_runs);
	tcase_add_test(t, tell_whether_a_handler_runs_that_leaves_the_carrier_open);
	tcase_add_test(t, are_hidden_also_in_what_was_before);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
