/*
 * The signal of the ticks and what the target believes about it.  The target is
 * this process: each test has one of its own, and what ends it is part of the
 * test.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/kernel_action.h"

#define COOKIE ((void *)0x12345678)

static atomic_int ticks, calls;
static siginfo_t seen;
static sigset_t mask_inside;
static const void *context_seen;

static bool is_ours(const siginfo_t *info)
{
	return info->si_value.sival_ptr == COOKIE;
}

static void on_tick(const siginfo_t *info, const void *context)
{
	(void)info, (void)context;
	ticks++;
}

static void target_handler(int sig)
{
	(void)sig;
	calls++;
	pthread_sigmask(SIG_BLOCK, NULL, &mask_inside);
}

static void target_handler_with_info(int sig, siginfo_t *info, void *context)
{
	target_handler(sig);
	seen = *info;
	context_seen = context;
}

static int acquire(void)
{
	const char *why = NULL;
	int sig = carrier_acquire(&why);

	ck_assert_msg(sig || why, "refused without a reason");
	return sig;
}

static struct sigaction wanted(void (*handler)(int), int flags, int also_blocked)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags };

	sigemptyset(&act.sa_mask);
	if (also_blocked)
		act.sa_mask.__val[0] |= SIGNAL_BIT(also_blocked); /* sigaddset() refuses CARRIER */
	return act;
}

static void set_wanted(void (*handler)(int), int flags, int also_blocked)
{
	struct sigaction act = wanted(handler, flags, also_blocked);

	carrier_set_wanted(&act, NULL);
}

/* A signal with si_code SI_TIMER, as only a timer makes them. */
static int arrived(void)
{
	return ticks + calls + (int)counter_get(COUNTER_CPU_TICKS_WITHOUT_ROOM);
}

static void send_from_timer(int sig, void *value)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };
	struct itimerspec at_once = { .it_value = { 0, 1 } };
	int before = arrived();
	timer_t timer;

	ev.sigev_value.sival_ptr = value;
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &at_once, NULL), 0);
	while (arrived() == before)
		;
	timer_delete(timer);
}

/* ---- which signal */

/* What a call behind everybody's back would do, libc's own included. */
static void (*kernel_handler(void))(int)
{
	struct kernel_action act;

	ck_assert_int_eq(kernel_action(CARRIER, NULL, &act), 0);
	return (void (*)(int))act.handler;
}

static void set_in_kernel(void (*handler)(int))
{
	const struct kernel_action act = { .handler = (void *)handler,
					   .flags = ARCH_SA_RESTORER,
					   .restorer = (void *)pprofshim_sigreturn };

	ck_assert_int_eq(kernel_action(CARRIER, &act, NULL), 0);
}

/* An ignored signal stays ignored across exec: who runs this test may have it so. */
static void setup(void)
{
	set_in_kernel(SIG_DFL);
	carrier_handle_ticks(is_ours, on_tick);
}

static void send(void)
{
	ck_assert_int_eq(syscall(SYS_tgkill, getpid(), gettid(), CARRIER), 0);
}

START_TEST(carrier__is_the_signal_that_libc_keeps_from_programs)
{
	struct sigaction act = { .sa_handler = SIG_IGN };
	sigset_t all;

	ck_assert_int_eq(carrier_signal(), 0);
	ck_assert_int_eq(acquire(), CARRIER);
	ck_assert_int_eq(carrier_signal(), CARRIER);
	ck_assert_int_eq(acquire(), CARRIER);
	ck_assert_int_ne(sigaction(CARRIER, &act, NULL), 0);
	memset(&all, 0xff, sizeof(all));
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &all);
	ck_assert_int_eq(sigismember(&all, CARRIER), 0);
	ck_assert_int_eq(sigismember(&all, SIGPROF), 1);
}
END_TEST

/* As libc has it when the process got its first thread before the first profile. */
START_TEST(carrier__what_was_there_gets_its_own_signals)
{
	set_in_kernel(target_handler);
	acquire();
	send();
	ck_assert_int_eq(calls, 1);
	send_from_timer(CARRIER, COOKIE);
	ck_assert_int_eq(ticks, 1);
	ck_assert_int_eq(calls, 1);
}
END_TEST

/* And when it gets it while our handler is there. */
START_TEST(carrier__comes_back_over_the_handler_that_libc_installs)
{
	acquire();
	set_in_kernel(target_handler);
	carrier_keep();
	send();
	ck_assert_int_eq(calls, 1);
	send_from_timer(CARRIER, COOKIE);
	ck_assert_int_eq(ticks, 1);
	set_in_kernel(SIG_DFL);
	carrier_keep(); /* looks once in a life: the listener looks each time */
	ck_assert_ptr_eq(kernel_handler(), SIG_DFL);
	acquire();
	send_from_timer(CARRIER, COOKIE);
	ck_assert_int_eq(ticks, 2);
}
END_TEST

static void *set_ids(void *unused)
{
	ck_assert_int_eq(setgid(getgid()),
			 0); /* libc signals all other threads and waits for them */
	return unused;
}

START_TEST(carrier__threads_change_their_ids_together_as_before)
{
	pthread_t thread;

	acquire();
	for (int i = 0; i < 100; i++) {
		pthread_create(&thread, NULL, set_ids, NULL);
		pthread_join(thread, NULL);
		if (i % 10 == 0)
			acquire();
	}
	ck_assert_ptr_eq(kernel_handler(), (void (*)(int))(void *)carrier_handle);
}
END_TEST

START_TEST(carrier__retired_leaves_libcs_handler_in_force)
{
	set_in_kernel(target_handler);
	acquire();
	carrier_retire();
	send();
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(carrier__retired_is_ignored_where_nobody_wanted_it)
{
	set_in_kernel(SIG_DFL);
	acquire();
	carrier_retire();
	send();
	ck_assert_ptr_eq(kernel_handler(), SIG_IGN);
}
END_TEST

/* What is ignored stays so in a program that is executed. */
START_TEST(carrier__left_is_as_it_was_and_late_ticks_are_gone)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = CARRIER };
	struct itimerspec at_once = { .it_value = { 0, 1 } };
	uint64_t pending = 0;
	timer_t timer;

	set_in_kernel(SIG_DFL);
	acquire();
	kernel_mask(SIG_BLOCK, SIGNAL_BIT(CARRIER), NULL);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &at_once, NULL), 0);
	while (!(pending & SIGNAL_BIT(CARRIER)))
		sys_call3(SYS_rt_sigpending, (long)&pending, sizeof(pending), 0);
	timer_delete(timer);
	carrier_retire();
	carrier_leave();
	ck_assert_ptr_eq(kernel_handler(), SIG_DFL);
	kernel_mask(SIG_UNBLOCK, SIGNAL_BIT(CARRIER), NULL);
}
END_TEST

START_TEST(carrier__left_is_ignored_where_it_was)
{
	set_in_kernel(SIG_IGN);
	acquire();
	carrier_retire();
	carrier_leave();
	ck_assert_ptr_eq(kernel_handler(), SIG_IGN);
}
END_TEST

/* ---- ticks */

START_TEST(carrier__a_tick_is_ours_whatever_the_target_wants)
{
	acquire();
	for (int i = 0; i < 3; i++) {
		void (*handlers[])(int) = { SIG_DFL, SIG_IGN, target_handler };

		set_wanted(handlers[i], 0, 0);
		send_from_timer(CARRIER, COOKIE);
	}
	ck_assert_int_eq(ticks, 3);
	ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(carrier__a_timer_of_the_target_goes_to_the_target)
{
	acquire();
	set_wanted(target_handler, 0, 0);
	send_from_timer(CARRIER, NULL);
	ck_assert_int_eq(ticks, 0);
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(carrier__our_cookie_sent_by_others_is_no_tick)
{
	acquire();
	set_wanted(target_handler, 0, 0);
	sigqueue(getpid(), CARRIER, (union sigval){ .sival_ptr = COOKIE });
	ck_assert_int_eq(ticks, 0);
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(carrier__a_tick_does_not_interrupt_a_system_call)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = CARRIER };
	struct itimerspec soon = { .it_value = { 0, 20000000 } };
	timer_t timer;
	int fd[2];
	char c;

	acquire();
	ev.sigev_value.sival_ptr = COOKIE;
	ck_assert_int_eq(pipe(fd), 0);
	timer_create(CLOCK_MONOTONIC, &ev, &timer);
	timer_settime(timer, 0, &soon, NULL);
	if (fork() == 0) {
		usleep(200000);
		_exit(write(fd[1], "x", 1) != 1);
	}
	ck_assert_int_eq(read(fd[0], &c, 1), 1);
	ck_assert_int_eq(ticks, 1);
}
END_TEST

/* ---- the target's own signals */

static bool is_blocked_inside(int sig)
{
	return sigismember(&mask_inside, sig) == 1;
}

static void expect_mask_now(int blocked, int open)
{
	sigset_t now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	ck_assert_int_eq(sigismember(&now, blocked), 1);
	ck_assert_int_eq(sigismember(&now, open), 0);
	ck_assert_int_eq(sigismember(&now, CARRIER), 0);
}

START_TEST(carrier__the_targets_handler_runs_with_the_mask_it_asked_for)
{
	sigset_t set;

	acquire();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	set_wanted(target_handler, 0, SIGUSR2);
	send();
	ck_assert_int_eq(calls, 1);
	ck_assert(is_blocked_inside(SIGUSR1));
	ck_assert(is_blocked_inside(SIGUSR2));
	ck_assert(is_blocked_inside(CARRIER));
	ck_assert(!is_blocked_inside(SIGTERM));
	ck_assert(!is_blocked_inside(64));
	expect_mask_now(SIGUSR1, SIGUSR2);
}
END_TEST

START_TEST(carrier__sa_nodefer_leaves_the_signal_open)
{
	acquire();
	set_wanted(target_handler, SA_NODEFER, 0);
	send();
	ck_assert_int_eq(calls, 1);
	ck_assert(!is_blocked_inside(CARRIER));
}
END_TEST

START_TEST(carrier__sa_siginfo_passes_everything_on)
{
	struct sigaction act = { .sa_sigaction = target_handler_with_info, .sa_flags = SA_SIGINFO };

	acquire();
	carrier_set_wanted(&act, NULL);
	sigqueue(getpid(), CARRIER, (union sigval){ .sival_int = 4711 });
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(seen.si_signo, CARRIER);
	ck_assert_int_eq(seen.si_code, SI_QUEUE);
	ck_assert_int_eq(seen.si_value.sival_int, 4711);
	ck_assert_int_eq(seen.si_pid, getpid());
	ck_assert_ptr_nonnull(context_seen);
}
END_TEST

START_TEST(carrier__sa_resethand_calls_once)
{
	struct sigaction now;

	acquire();
	set_wanted(target_handler, (int)SA_RESETHAND, SIGUSR2);
	send();
	ck_assert_int_eq(calls, 1);
	carrier_set_wanted(NULL, &now);
	ck_assert_ptr_eq(now.sa_handler, SIG_DFL);
}
END_TEST

START_TEST(carrier__after_sa_resethand_the_next_one_kills)
{
	acquire();
	set_wanted(target_handler, (int)SA_RESETHAND, 0);
	send();
	ck_assert_int_eq(calls, 1);
	send();
}
END_TEST

START_TEST(carrier__the_default_kills_with_the_same_signal)
{
	acquire();
	send();
	ck_abort_msg("alive: wanted %p, in the kernel %p", (void *)carrier_wanted().sa_handler,
		     (void *)kernel_handler());
}
END_TEST

START_TEST(carrier__an_ignored_signal_does_nothing)
{
	acquire();
	set_wanted(SIG_IGN, 0, 0);
	send();
	ck_assert_int_eq(calls, 0);
}
END_TEST

static sigjmp_buf out;

static void jump_out(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

START_TEST(carrier__the_targets_handler_may_jump_away)
{
	acquire();
	set_wanted(jump_out, 0, 0);
	for (volatile int i = 0; i < 3; i++) {
		if (sigsetjmp(out, 1) == 0)
			send();
	}
	send_from_timer(CARRIER, COOKIE); /* waits for it: the signal is not blocked */
	ck_assert_int_eq(ticks, 1);
}
END_TEST

START_TEST(carrier__keeps_errno)
{
	acquire();
	set_wanted(SIG_IGN, 0, 0);
	errno = 88;
	send();
	set_wanted(target_handler, 0, 0);
	send();
	ck_assert_int_eq(errno, 88);
}
END_TEST

/* ---- reading the wanted action back */

START_TEST(carrier__before_anything_was_set_the_default_is_read)
{
	struct sigaction old = wanted(target_handler, SA_RESTART, SIGUSR1);
	const struct kernel_action dfl = { .handler = (void *)SIG_DFL };

	ck_assert_int_eq(kernel_action(CARRIER, &dfl, NULL), 0);
	acquire();
	carrier_set_wanted(NULL, &old);
	ck_assert_ptr_eq(old.sa_handler, SIG_DFL);
	ck_assert_int_eq(old.sa_flags, 0);
	ck_assert_int_eq(sigismember(&old.sa_mask, SIGUSR1), 0);
}
END_TEST

/* What the kernel would read back: libc's words for another signal, less its restorer. */
START_TEST(carrier__an_action_is_read_back_as_the_kernel_would)
{
	static const int flags[] = { 0, SA_RESTART, SA_NODEFER | SA_ONSTACK, (int)SA_RESETHAND };

	acquire();
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct sigaction act = wanted(target_handler, flags[i], SIGUSR1);
		struct sigaction ours, libc;

		sigaddset(&act.sa_mask, SIGKILL);
		sigaddset(&act.sa_mask, SIGSTOP);
		carrier_set_wanted(&act, NULL);
		carrier_set_wanted(NULL, &ours);
		sigaction(SIGUSR2, &act, NULL);
		sigaction(SIGUSR2, NULL, &libc);
		ck_assert_ptr_eq(ours.sa_handler, libc.sa_handler);
		ck_assert_int_eq(ours.sa_flags, flags[i]);
		for (int sig = 1; sig <= 64; sig++)
			ck_assert_int_eq(sigismember(&ours.sa_mask, sig),
					 sigismember(&libc.sa_mask, sig));
	}
}
END_TEST

START_TEST(carrier__old_is_the_action_before_even_in_the_same_place)
{
	struct sigaction act = wanted(target_handler, SA_RESTART, 0);

	acquire();
	carrier_set_wanted(&act, NULL);
	act = wanted(jump_out, 0, 0);
	carrier_set_wanted(&act, &act);
	ck_assert_ptr_eq(act.sa_handler, target_handler);
	carrier_set_wanted(NULL, &act);
	ck_assert_ptr_eq(act.sa_handler, jump_out);
}
END_TEST

START_TEST(carrier__the_last_of_many_actions_counts)
{
	struct sigaction old;

	acquire();
	for (int i = 0; i < 1000; i++) {
		set_wanted(i % 2 ? target_handler : jump_out, i, 0);
		carrier_set_wanted(NULL, &old);
		ck_assert_ptr_eq(old.sa_handler, i % 2 ? target_handler : jump_out);
	}
	send();
	ck_assert_int_eq(calls, 1);
}
END_TEST

/* ---- calls of the target at the moment of the choice */

static void *acquire_in_thread(void *arg)
{
	*(int *)arg = acquire();
	return NULL;
}

/* A thread is between its look at the carrier and its call; meanwhile a profile begins. */
static void set_while_acquired(void (*handler)(int))
{
	int acquired = 0;
	pthread_t thread;

	ck_assert(!carrier_begin_action(CARRIER));
	pthread_create(&thread, NULL, acquire_in_thread, &acquired);
	while (carrier_signal() == 0)
		;
	set_in_kernel(handler);
	carrier_end_action();
	pthread_join(thread, NULL);
	ck_assert_int_eq(acquired, CARRIER);
}

START_TEST(carrier__a_late_reset_does_not_remove_our_handler)
{
	set_while_acquired(SIG_DFL);
	ck_assert_ptr_ne(kernel_handler(), SIG_DFL);
	send_from_timer(CARRIER, COOKIE);
	ck_assert_int_eq(ticks, 1);
}
END_TEST

START_TEST(carrier__a_handler_set_late_is_kept)
{
	struct sigaction read;

	set_while_acquired(target_handler);
	carrier_set_wanted(NULL, &read);
	ck_assert_ptr_eq(read.sa_handler, target_handler);
	send_from_timer(CARRIER, COOKIE);
	ck_assert_int_eq(ticks, 1);
	send();
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(carrier__a_call_that_never_returns_does_not_keep_profiles_away)
{
	ck_assert(!carrier_begin_action(SIGTERM));
	ck_assert_int_eq(acquire(), CARRIER);
	ck_assert_uint_eq(counter_get(COUNTER_SIGACTION_WAITS_TIMED_OUT), 1);
}
END_TEST

/* ---- on whose stack */

static char alternate[1 << 16];
static const char *tick_at, *handler_at;

static bool is_on_alternate(const char *at)
{
	return at >= alternate && at < alternate + sizeof(alternate);
}

static void tick_here(const siginfo_t *info, const void *context)
{
	char here;

	(void)info, (void)context;
	tick_at = &here;
	ticks++;
}

static void use_alternate_stack(void)
{
	const stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };

	ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
	carrier_handle_ticks(is_ours, tick_here);
	acquire();
}

START_TEST(carrier__ticks_come_on_the_alternate_stack_of_a_thread_that_has_one)
{
	use_alternate_stack();
	send_from_timer(CARRIER, COOKIE);
	ck_assert(is_on_alternate(tick_at));
}
END_TEST

static const uint32_t own_stacks = CARRIER_STACKS_OWN;

/* No hook told of any stack: the program's own handlers say whether they are used. */
START_TEST(carrier__knowing_no_stacks_ticks_go_where_handlers_of_the_program_do)
{
	const struct sigaction on_it = wanted(target_handler, SA_ONSTACK, 0);
	const struct sigaction off_it = wanted(target_handler, 0, 0);

	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL); /* a sanitizer's handlers run on such a stack */
	carrier_know_no_stacks(&own_stacks);
	use_alternate_stack();
	send_from_timer(CARRIER, COOKIE);
	ck_assert(!is_on_alternate(tick_at));
	sigaction(SIGUSR1, &on_it, NULL);
	acquire();
	send_from_timer(CARRIER, COOKIE);
	ck_assert(is_on_alternate(tick_at));
	sigaction(SIGUSR1, &off_it, NULL);
	acquire();
	send_from_timer(CARRIER, COOKIE);
	ck_assert(!is_on_alternate(tick_at));
	ck_assert_int_eq(ticks, 3);
}
END_TEST

static uint32_t stacks_seen;

static void handlers_on_alternate_stacks(void)
{
	const struct sigaction on_it = wanted(target_handler, SA_ONSTACK, 0);

	carrier_know_no_stacks(&stacks_seen);
	use_alternate_stack();
	sigaction(SIGUSR1, &on_it, NULL);
}

START_TEST(carrier__ticks_come_where_there_is_room_as_threads_were_seen_to_have_it)
{
	stacks_seen = CARRIER_STACKS_OWN;
	handlers_on_alternate_stacks();
	acquire();
	send_from_timer(CARRIER, COOKIE);
	ck_assert(is_on_alternate(tick_at));
	stacks_seen = CARRIER_STACKS_SHARED;
	acquire();
	send_from_timer(CARRIER, COOKIE);
	ck_assert(!is_on_alternate(tick_at));
	ck_assert_int_eq(ticks, 2);
}
END_TEST

START_TEST(carrier__no_tick_comes_where_nobody_saw_the_stacks_or_both_kinds)
{
	const char *why = NULL;

	stacks_seen = CARRIER_STACKS_OWN;
	handlers_on_alternate_stacks();
	stacks_seen = CARRIER_STACKS_UNSEEN;
	ck_assert_int_eq(carrier_acquire(&why), 0);
	ck_assert_ptr_nonnull(strstr(why, "attach again"));
	stacks_seen = CARRIER_STACKS_MIXED;
	ck_assert_int_eq(carrier_acquire(&why), 0);
	ck_assert_ptr_nonnull(strstr(why, "pprof-inject"));
}
END_TEST

START_TEST(carrier__without_such_stacks_ticks_come_until_more_handlers_do)
{
	const struct sigaction on_it = wanted(target_handler, SA_ONSTACK, 0);
	const char *why = NULL;

	stacks_seen = CARRIER_STACKS_NONE;
	handlers_on_alternate_stacks();
	ck_assert(carrier_know_no_stacks(&stacks_seen));
	acquire();
	send_from_timer(CARRIER, COOKIE);
	ck_assert(!is_on_alternate(tick_at));
	sigaction(SIGUSR2, &on_it, NULL);
	ck_assert_int_eq(carrier_acquire(&why), 0);
	ck_assert_ptr_nonnull(strstr(why, "attach again"));
}
END_TEST

START_TEST(carrier__only_the_first_thread_gets_ticks_where_it_was_the_only_one)
{
	stacks_seen = CARRIER_STACKS_OF_ONE;
	handlers_on_alternate_stacks();
	ck_assert_int_eq(acquire(), CARRIER);
	ck_assert(carrier_may_reach(getpid()));
	ck_assert(!carrier_may_reach(getpid() + 1));
	signal(SIGUSR1, SIG_DFL);
	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL); /* a sanitizer's handlers run on such a stack */
	ck_assert(carrier_may_reach(getpid() + 1));
}
END_TEST

/* From a size that is enough down to what the kernel itself refuses, in small steps. */
START_TEST(carrier__a_tick_without_room_does_nothing)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ);
	char *top = alternate + sizeof(alternate);
	int captured = 0, left_out = 0;

	frame = frame ? frame : 4096;
	use_alternate_stack();
	for (size_t size = frame + 4096; size >= frame + 256; size -= 64) {
		const stack_t stack = { .ss_sp = top - size, .ss_size = size };
		int before = ticks;

		memset(alternate, 0x5a, sizeof(alternate));
		ck_assert_int_eq(syscall(SYS_sigaltstack, &stack, NULL), 0); /* libc has a limit */
		send_from_timer(CARRIER, COOKIE);
		captured += ticks - before;
		left_out += ticks == before;
		for (const char *at = alternate; at < top - size; at++)
			ck_assert_msg(*at == 0x5a, "written below a stack of %zu bytes", size);
	}
	ck_assert_int_gt(captured, 0);
	ck_assert_uint_eq(counter_get(COUNTER_CPU_TICKS_WITHOUT_ROOM), (uint64_t)left_out);
}
END_TEST

static void handle_here(int sig)
{
	char here;

	handler_at = &here;
	target_handler(sig);
}

START_TEST(carrier__the_targets_handler_runs_where_it_asked_to)
{
	use_alternate_stack();
	set_wanted(handle_here, SA_ONSTACK, 0);
	send();
	ck_assert(is_on_alternate(handler_at));
	set_wanted(handle_here, 0, 0);
	send();
	ck_assert(!is_on_alternate(handler_at));
	ck_assert_int_eq(calls, 2);
	ck_assert(is_blocked_inside(CARRIER));
	pthread_sigmask(SIG_BLOCK, NULL, &mask_inside);
	ck_assert(!is_blocked_inside(CARRIER));
}
END_TEST

/* Fills the alternate stack, on which nothing of ours may lie any more. */
static void fill_alternate(int sig)
{
	char room[32768];

	(void)sig;
	memset(room, 0x5a, sizeof(room));
	__asm__ volatile("" : : "r"(room) : "memory"); /* it is used */
	ck_assert(is_on_alternate(room));
	calls++;
}

static void handle_and_be_interrupted(int sig, siginfo_t *info, void *context)
{
	double x = (double)info->si_value.sival_int;

	raise(SIGUSR2);
	ck_assert_int_eq(sig, CARRIER);
	ck_assert_int_eq(info->si_value.sival_int, 4711);
	ck_assert_int_eq(info->si_pid, getpid());
	(void)context;
	ck_assert(x * 2 == 9422);
}

START_TEST(carrier__a_moved_handler_leaves_the_alternate_stack_free)
{
	struct sigaction act = { .sa_sigaction = handle_and_be_interrupted,
				 .sa_flags = SA_SIGINFO };
	const struct sigaction filler = { .sa_handler = fill_alternate, .sa_flags = SA_ONSTACK };
	volatile double a = 1.5, b = 2.25;

	use_alternate_stack();
	sigaction(SIGUSR2, &filler, NULL);
	carrier_set_wanted(&act, NULL);
	for (int i = 1; i <= 100; i++) {
		a = a + b * i;
		sigqueue(getpid(), CARRIER, (union sigval){ .sival_int = 4711 });
		ck_assert_int_eq(calls, i);
	}
	ck_assert(a == 1.5 + 2.25 * 5050);
}
END_TEST

START_TEST(carrier__a_moved_handler_may_jump_away)
{
	use_alternate_stack();
	set_wanted(jump_out, 0, 0);
	for (volatile int i = 0; i < 3; i++) {
		if (sigsetjmp(out, 1) == 0)
			send();
	}
	send_from_timer(CARRIER, COOKIE);
	ck_assert(is_on_alternate(tick_at));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("carrier");
	Suite *s = suite_create("carrier");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, carrier__is_the_signal_that_libc_keeps_from_programs);
	tcase_add_test(t, carrier__what_was_there_gets_its_own_signals);
	tcase_add_test(t, carrier__comes_back_over_the_handler_that_libc_installs);
	tcase_add_test(t, carrier__threads_change_their_ids_together_as_before);
	tcase_add_test(t, carrier__retired_leaves_libcs_handler_in_force);
	tcase_add_test(t, carrier__retired_is_ignored_where_nobody_wanted_it);
	tcase_add_test(t, carrier__left_is_as_it_was_and_late_ticks_are_gone);
	tcase_add_test(t, carrier__left_is_ignored_where_it_was);
	tcase_add_test(t, carrier__a_tick_is_ours_whatever_the_target_wants);
	tcase_add_test(t, carrier__a_timer_of_the_target_goes_to_the_target);
	tcase_add_test(t, carrier__our_cookie_sent_by_others_is_no_tick);
	tcase_add_test(t, carrier__a_tick_does_not_interrupt_a_system_call);
	tcase_add_test(t, carrier__the_targets_handler_runs_with_the_mask_it_asked_for);
	tcase_add_test(t, carrier__sa_nodefer_leaves_the_signal_open);
	tcase_add_test(t, carrier__sa_siginfo_passes_everything_on);
	tcase_add_test(t, carrier__sa_resethand_calls_once);
	tcase_add_test_raise_signal(t, carrier__after_sa_resethand_the_next_one_kills, CARRIER);
	tcase_add_test_raise_signal(t, carrier__the_default_kills_with_the_same_signal, CARRIER);
	tcase_add_test(t, carrier__an_ignored_signal_does_nothing);
	tcase_add_test(t, carrier__the_targets_handler_may_jump_away);
	tcase_add_test(t, carrier__keeps_errno);
	tcase_add_test(t, carrier__before_anything_was_set_the_default_is_read);
	tcase_add_test(t, carrier__an_action_is_read_back_as_the_kernel_would);
	tcase_add_test(t, carrier__old_is_the_action_before_even_in_the_same_place);
	tcase_add_test(t, carrier__the_last_of_many_actions_counts);
	tcase_add_test(t, carrier__a_late_reset_does_not_remove_our_handler);
	tcase_add_test(t, carrier__a_handler_set_late_is_kept);
	tcase_add_test(t, carrier__a_call_that_never_returns_does_not_keep_profiles_away);
	tcase_add_test(t, carrier__ticks_come_on_the_alternate_stack_of_a_thread_that_has_one);
	tcase_add_test(t, carrier__knowing_no_stacks_ticks_go_where_handlers_of_the_program_do);
	tcase_add_test(t, carrier__ticks_come_where_there_is_room_as_threads_were_seen_to_have_it);
	tcase_add_test(t, carrier__no_tick_comes_where_nobody_saw_the_stacks_or_both_kinds);
	tcase_add_test(t, carrier__without_such_stacks_ticks_come_until_more_handlers_do);
	tcase_add_test(t, carrier__only_the_first_thread_gets_ticks_where_it_was_the_only_one);
	tcase_add_test(t, carrier__a_tick_without_room_does_nothing);
	tcase_add_test(t, carrier__the_targets_handler_runs_where_it_asked_to);
	tcase_add_test(t, carrier__a_moved_handler_leaves_the_alternate_stack_free);
	tcase_add_test(t, carrier__a_moved_handler_may_jump_away);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
