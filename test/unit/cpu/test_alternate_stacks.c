/* Which threads a tick may come to: by the room on their alternate stacks. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/sys.h"
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

static const stack_t disabled = { .ss_flags = SS_DISABLE };

/* Under the kernel's own frame there is no room for anything. */
START_TEST(alternate_stacks__too_small_is_what_the_kernels_frame_fills)
{
	stack_t s = stack_of(getauxval(AT_MINSIGSTKSZ));

	ck_assert(alternate_stack_is_too_small(&s));
	s.ss_size = 16384;
	ck_assert(!alternate_stack_is_too_small(&s));
	s = stack_of(SMALL);
	ck_assert(alternate_stack_is_too_small(&s));
	s.ss_flags = SS_DISABLE;
	ck_assert(!alternate_stack_is_too_small(&s));
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

START_TEST(alternate_stacks__are_forgotten_with_their_thread)
{
	note(sys_gettid(), SMALL);
	alternate_stack_forget_self();
	ck_assert(alternate_stack_has_room(sys_gettid()));
}
END_TEST

START_TEST(alternate_stacks__of_many_threads_are_told_apart)
{
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
	tcase_add_test(t, alternate_stacks__a_thread_has_room_unless_a_small_one_is_noted);
	tcase_add_test(t, alternate_stacks__one_whose_memory_is_gone_is_not_usable);
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
