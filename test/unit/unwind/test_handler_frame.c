/* Where a handler on an alternate stack interrupted its thread, found from outside. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sampler/unwind/handler_frame.h"

#define BYTES 65536UL

static stack_t stack;
static struct handler_frame outer, inner;
static bool found, still_same;
static int signals[2];
static uint64_t real[2][ARCH_REGS];

static bool find(struct handler_frame *f)
{
	uint64_t lo = (uint64_t)stack.ss_sp;

	return handler_frame_find(lo, lo + stack.ss_size, f);
}

static void within(int sig, siginfo_t *info, void *context)
{
	(void)info;
	signals[1] = sig;
	arch_copy_registers(real[1], context);
	found = find(&inner);
}

static void handle(int sig, siginfo_t *info, void *context)
{
	(void)info;
	signals[0] = sig;
	arch_copy_registers(real[0], context);
	found = find(&outer);
	still_same = handler_frame_is_same(&outer);
	raise(SIGUSR2);
}

static void set(int sig, void (*handler)(int, siginfo_t *, void *), int also_blocked)
{
	struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (also_blocked)
		sigaddset(&act.sa_mask, also_blocked);
	ck_assert_int_eq(sigaction(sig, &act, NULL), 0);
}

static void begin(size_t less)
{
	char *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	stack = (stack_t){ .ss_sp = at + less, .ss_size = BYTES - 2 * less };
	ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
	set(SIGUSR1, handle, SIGURG);
	set(SIGUSR2, within, 0);
}

START_TEST(handler_frame__nobody_has_been_there)
{
	begin(0);
	ck_assert(!find(&outer));
}
END_TEST

START_TEST(handler_frame__has_what_was_interrupted)
{
	sigset_t mask;

	begin(_i);
	sigemptyset(&mask);
	sigaddset(&mask, SIGWINCH);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	raise(SIGUSR1);
	ck_assert(found && still_same);
	ck_assert_mem_eq(outer.reg, real[0], sizeof(outer.reg));
	ck_assert_int_eq(outer.sig, SIGUSR1);
	ck_assert_uint_eq(outer.mask, 1ULL << (SIGWINCH - 1));
}
END_TEST

START_TEST(handler_frame__of_two_the_first)
{
	begin(0);
	raise(SIGUSR1);
	ck_assert_int_eq(signals[1], SIGUSR2);
	ck_assert_mem_eq(inner.reg, outer.reg, sizeof(outer.reg));
	ck_assert_mem_ne(inner.reg, real[1], sizeof(inner.reg));
}
END_TEST

START_TEST(handler_frame__of_another_signal_is_not_the_same)
{
	begin(0);
	raise(SIGUSR1);
	raise(SIGUSR2);
	ck_assert(!handler_frame_is_same(&outer));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("handler_frame");
	TCase *t = tcase_create("handler_frame");
	SRunner *r;
	int failed;

	tcase_add_test(t, handler_frame__nobody_has_been_there);
	tcase_add_loop_test(t, handler_frame__has_what_was_interrupted, 0, 9);
	tcase_add_test(t, handler_frame__of_two_the_first);
	tcase_add_test(t, handler_frame__of_another_signal_is_not_the_same);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
