/* Which threads a tick may come to: by the room on their alternate stacks. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/alternate_stacks.h"

#define SMALL 2048 /* the least that the kernel takes */

static stack_t stack_of(size_t bytes)
{
	char *at = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return (stack_t){ .ss_sp = at + (1 << 16) - bytes, .ss_size = bytes };
}

static void note(int tid, size_t bytes)
{
	stack_t s = stack_of(bytes);

	alternate_stack_note(tid, &s);
}

/* Threads that are there to the end. */
#define THREADS 4

static atomic_int tid_of[THREADS];

static void *be_there(void *place)
{
	atomic_store((atomic_int *)place, sys_gettid());
	for (;;)
		pause();
	return NULL;
}

static int thread(int i)
{
	pthread_t t;

	if (!atomic_load(&tid_of[i]))
		ck_assert_int_eq(pthread_create(&t, NULL, be_there, &tid_of[i]), 0);
	while (!atomic_load(&tid_of[i]))
		sched_yield();
	return atomic_load(&tid_of[i]);
}

static const stack_t disabled = { .ss_flags = SS_DISABLE };

/* Under the kernel's own frame there is no room for anything. */
START_TEST(alternate_stacks__too_small_is_what_the_kernels_frame_fills)
{
	uint64_t needed = alternate_stack_bytes_needed(getauxval(AT_MINSIGSTKSZ));
	stack_t s = stack_of(needed - 1);

	ck_assert(alternate_stack_is_too_small(&s));
	s = stack_of(needed);
	ck_assert(!alternate_stack_is_too_small(&s));
	s.ss_size = 16384;
	ck_assert(!alternate_stack_is_too_small(&s));
	s = stack_of(SMALL);
	ck_assert(alternate_stack_is_too_small(&s));
	s.ss_flags = SS_DISABLE;
	ck_assert(!alternate_stack_is_too_small(&s));
}
END_TEST

/* With AMX a frame takes three quarters more, but only of who has asked for it. */
START_TEST(alternate_stacks__registers_on_request_take_no_room)
{
	ck_assert_uint_eq(alternate_stack_bytes_needed(0), 4096 + 1024);
	ck_assert_uint_eq(alternate_stack_bytes_needed(3632), 3632 + 1024);
	ck_assert_uint_eq(alternate_stack_bytes_needed(1776), 1776 + 1024);
	ck_assert_uint_eq(alternate_stack_bytes_needed(11952), 3760 + 1024);
	ck_assert_uint_eq(alternate_stack_bytes_needed(20000), 20000 + 1024);
}
END_TEST

START_TEST(alternate_stacks__a_thread_has_room_unless_a_small_one_is_noted)
{
	ck_assert(alternate_stack_has_room(77));
	note(77, SMALL);
	ck_assert(!alternate_stack_has_room(77));
	ck_assert(!alternate_stack_is_usable(77));
	ck_assert(alternate_stack_has_room(78));
	note(77, 16384);
	ck_assert(alternate_stack_has_room(77));
	ck_assert(alternate_stack_is_usable(77));
	note(77, SMALL);
	alternate_stack_note(77, &disabled);
	ck_assert(alternate_stack_has_room(77));
}
END_TEST

START_TEST(alternate_stacks__one_whose_memory_is_gone_is_not_usable)
{
	stack_t s = stack_of(1 << 16);

	alternate_stack_note(77, &s);
	ck_assert(alternate_stack_is_usable(77));
	munmap((char *)s.ss_sp + (1 << 15), 1 << 15);
	ck_assert(alternate_stack_has_room(77));
	ck_assert(!alternate_stack_is_usable(77));
}
END_TEST

/* What the hook of sigaltstack does, for thread `tid`; what the kernel has then. */
static stack_t set(int tid, const stack_t *stack)
{
	stack_t ours, now = *stack;

	if (alternate_stack_is_shared(tid, stack, &ours))
		now = ours;
	alternate_stack_settle(tid, &now, stack);
	return now;
}

static stack_t read_back(int tid, stack_t kernel_has)
{
	alternate_stack_show(tid, &kernel_has);
	return kernel_has;
}

START_TEST(alternate_stacks__of_two_threads_the_second_gets_one_of_ours)
{
	stack_t s = stack_of(16384), other = stack_of(16384), a = set(thread(1), &s),
		b = set(thread(2), &s), c;

	ck_assert_ptr_eq(a.ss_sp, s.ss_sp);
	ck_assert_ptr_ne(b.ss_sp, s.ss_sp);
	ck_assert_uint_ge(b.ss_size, s.ss_size);
	ck_assert(alternate_stack_is_usable(thread(1)) && alternate_stack_is_usable(thread(2)));
	ck_assert_ptr_eq(read_back(thread(2), b).ss_sp, s.ss_sp);
	ck_assert_uint_eq(read_back(thread(2), b).ss_size, s.ss_size);
	c = set(thread(2), &s); /* the same again */
	ck_assert_ptr_eq(c.ss_sp, b.ss_sp);
	ck_assert_ptr_ne(set(thread(3), &s).ss_sp, b.ss_sp);
	ck_assert_ptr_eq(set(thread(2), &other).ss_sp,
			 other.ss_sp); /* it has one that is its own */
	ck_assert_ptr_eq(read_back(thread(2), other).ss_sp, other.ss_sp);
}
END_TEST

START_TEST(alternate_stacks__one_that_its_thread_left_is_free)
{
	stack_t s = stack_of(16384), other = stack_of(16384);

	set(thread(1), &s);
	set(thread(1), &other);
	ck_assert_ptr_eq(set(thread(2), &s).ss_sp, s.ss_sp);
	set(thread(2), &disabled);
	ck_assert_ptr_eq(set(thread(3), &s).ss_sp, s.ss_sp);
}
END_TEST

/* The kernel refuses while a handler runs on it. */
START_TEST(alternate_stacks__a_refused_call_changes_nothing)
{
	stack_t s = stack_of(16384), other = stack_of(16384), ours, b;

	set(thread(1), &s);
	set(thread(3), &other);
	b = set(thread(2), &s);
	ck_assert(alternate_stack_is_shared(thread(2), &other, &ours));
	alternate_stack_settle(thread(2), &b, NULL);
	ck_assert_ptr_eq(read_back(thread(2), b).ss_sp, s.ss_sp);
	ck_assert(!alternate_stack_is_shared(thread(3), &other, &ours));
}
END_TEST

static void *share_and_end(void *stack)
{
	stack_t now = set(sys_gettid(), stack);

	sigaltstack(&now, NULL);
	alternate_stack_end_self();
	sigaltstack(NULL, &now);
	ck_assert(now.ss_flags & SS_DISABLE);
	return NULL;
}

START_TEST(alternate_stacks__of_ours_go_with_their_threads)
{
	stack_t s = stack_of(16384);
	size_t before;

	set(thread(1), &s);
	before = sys_mapped_bytes();
	for (int i = 0; i < 100; i++) {
		pthread_t t;

		pthread_create(&t, NULL, share_and_end, &s);
		pthread_join(t, NULL);
	}
	ck_assert_uint_eq(sys_mapped_bytes(), before);
}
END_TEST

/* The address sanitizer unmaps the stack that a thread has at its end, as if it were its own. */
EXPORT const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "use_sigaltstack=0";
}

/* Nobody told of it. */
static void *share(void *stack)
{
	stack_t now = set(sys_gettid(), stack);

	sigaltstack(&now, NULL);
	return NULL;
}

static void let_many_share(stack_t *s, int count)
{
	for (int i = 0; i < count; i++) {
		pthread_t t;

		pthread_create(&t, NULL, share, s);
		pthread_join(t, NULL);
	}
}

/* In a child without a listener no end is seen. */
START_TEST(alternate_stacks__of_ours_go_with_threads_that_end_without_a_word)
{
	stack_t s = stack_of(16384);
	size_t before;

	set(thread(1), &s);
	let_many_share(&s, 2);
	before = sys_mapped_bytes();
	let_many_share(&s, 5000);
	ck_assert_uint_le(sys_mapped_bytes(), before + 200 * s.ss_size);
	ck_assert(alternate_stack_has_room(thread(1)));
}
END_TEST

START_TEST(alternate_stacks__of_threads_that_are_gone_make_room)
{
	stack_t small = stack_of(SMALL);

	for (int tid = 1000000; tid < 1100000; tid++)
		alternate_stack_note(tid, &small);
	ck_assert(alternate_stack_has_room(sys_gettid()));
}
END_TEST

START_TEST(alternate_stacks__of_ours_are_known_in_a_child)
{
	stack_t s = stack_of(16384), now;
	pid_t child;
	int status;

	set(thread(1), &s);
	now = set(sys_gettid(), &s);
	sigaltstack(&now, NULL);
	child = fork();
	if (child == 0) {
		alternate_stacks_after_fork();
		_exit(read_back(getpid(), now).ss_sp != s.ss_sp ||
		      !alternate_stack_is_usable(getpid()));
	}
	waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* No hook that enters the child has run, and where nothing is measured none does. */
START_TEST(alternate_stacks__of_ours_are_known_in_a_child_that_was_not_entered)
{
	stack_t s = stack_of(16384), now, other = stack_of(16384);
	pid_t child;
	int status;

	set(thread(1), &s);
	now = set(sys_gettid(), &s);
	sigaltstack(&now, NULL);
	child = fork();
	if (child == 0) {
		bool is_known = read_back(getpid(), now).ss_sp == s.ss_sp;

		for (int tid = 1; tid < 10000; tid++)
			alternate_stack_note(tid, &other);
		*(volatile char *)now.ss_sp = 1;
		_exit(!is_known);
	}
	waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(alternate_stacks__are_forgotten_with_their_thread)
{
	note(sys_gettid(), SMALL);
	alternate_stack_forget_self();
	ck_assert(alternate_stack_has_room(sys_gettid()));
}
END_TEST

START_TEST(alternate_stacks__of_many_threads_are_told_apart)
{
	sandbox_note(); /* who is there is not known */
	for (int tid = 1000; tid < 3000; tid++)
		note(tid, tid % 3 ? 16384 : SMALL);
	for (int tid = 1000; tid < 3000; tid++)
		ck_assert_int_eq(alternate_stack_has_room(tid), tid % 3 != 0);
}
END_TEST

/* Better no profile than a program that ends. */
START_TEST(alternate_stacks__nobody_has_room_once_a_small_one_could_not_be_noted)
{
	const stack_t large = { .ss_sp = (void *)4096, .ss_size = 16384 };

	sandbox_note(); /* who is there is not known */
	for (int tid = 1; tid < 100000; tid++)
		alternate_stack_note(tid, &large);
	ck_assert(alternate_stack_has_room(99999));
	note(100000, SMALL);
	ck_assert(!alternate_stack_has_room(1));
	ck_assert(!alternate_stack_has_room(200000));
}
END_TEST

static bool child_has_room(size_t bytes)
{
	stack_t s = stack_of(bytes);
	int status;
	pid_t pid;

	ck_assert_int_eq(sigaltstack(&s, NULL), 0);
	alternate_stack_note(sys_gettid(), &s);
	pid = fork();
	if (pid == 0) {
		alternate_stacks_after_fork();
		_exit(alternate_stack_has_room(getpid()) && alternate_stack_has_room(getppid()));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status != 0;
}

START_TEST(alternate_stacks__a_forked_child_has_that_of_who_forked)
{
	ck_assert(child_has_room(16384));
	ck_assert(!child_has_room(SMALL));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("alternate stacks");
	Suite *s = suite_create("alternate_stacks");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, alternate_stacks__too_small_is_what_the_kernels_frame_fills);
	tcase_add_test(t, alternate_stacks__registers_on_request_take_no_room);
	tcase_add_test(t, alternate_stacks__a_thread_has_room_unless_a_small_one_is_noted);
	tcase_add_test(t, alternate_stacks__one_whose_memory_is_gone_is_not_usable);
	tcase_add_test(t, alternate_stacks__of_two_threads_the_second_gets_one_of_ours);
	tcase_add_test(t, alternate_stacks__one_that_its_thread_left_is_free);
	tcase_add_test(t, alternate_stacks__a_refused_call_changes_nothing);
	tcase_add_test(t, alternate_stacks__of_ours_go_with_their_threads);
	tcase_add_test(t, alternate_stacks__of_ours_go_with_threads_that_end_without_a_word);
	tcase_add_test(t, alternate_stacks__of_threads_that_are_gone_make_room);
	tcase_add_test(t, alternate_stacks__of_ours_are_known_in_a_child);
	tcase_add_test(t, alternate_stacks__of_ours_are_known_in_a_child_that_was_not_entered);
	tcase_add_test(t, alternate_stacks__are_forgotten_with_their_thread);
	tcase_add_test(t, alternate_stacks__of_many_threads_are_told_apart);
	tcase_add_test(t, alternate_stacks__nobody_has_room_once_a_small_one_could_not_be_noted);
	tcase_add_test(t, alternate_stacks__a_forked_child_has_that_of_who_forked);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
