/* What labels threads have, as others see them. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/process/label_place.h"
#include "sampler/process/label_set.h"

START_TEST(a_thread_has_what_it_set_last)
{
	uint32_t set = label_set_with(0, "a", "1"), other = label_set_with(0, "a", "2");

	ck_assert_uint_eq(label_place_of(sys_gettid()), 0);
	label_place_set(set, sys_gettid);
	ck_assert_uint_eq(label_set_mine, set);
	ck_assert_uint_eq(label_place_of(sys_gettid()), set);
	label_place_set(other, sys_gettid);
	ck_assert_uint_eq(label_place_of(sys_gettid()), other);
	label_place_set(0, sys_gettid);
	ck_assert_uint_eq(label_place_of(sys_gettid()), 0);
}
END_TEST

static pthread_barrier_t all;

static void *set_own(void *set)
{
	int tid = sys_gettid();

	label_place_set((uint32_t)(uintptr_t)set, sys_gettid);
	pthread_barrier_wait(&all);
	ck_assert_uint_eq(label_place_of(tid), (uintptr_t)set);
	pthread_barrier_wait(&all);
	label_place_end();
	ck_assert_uint_eq(label_place_of(tid), 0);
	return NULL;
}

START_TEST(hundreds_of_threads_each_have_a_place)
{
	static pthread_t thread[400];
	char value[16];

	pthread_barrier_init(&all, NULL, ARRAY_SIZE(thread));
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
		snprintf(value, sizeof(value), "%zu", i);
		pthread_create(&thread[i], NULL, set_own,
			       (void *)(uintptr_t)label_set_with(0, "n", value));
	}
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(counter_get(COUNTER_LABELS_HIDDEN), 0);
}
END_TEST

static void *leave_without_a_word(void *tid)
{
	*(int *)tid = sys_gettid();
	label_place_set(label_set_with(0, "a", "1"), sys_gettid);
	return NULL;
}

START_TEST(who_ended_without_a_word_is_swept_away)
{
	pthread_t thread;
	int tid = 0;

	label_place_set(label_set_with(0, "a", "2"), sys_gettid);
	pthread_create(&thread, NULL, leave_without_a_word, &tid);
	pthread_join(thread, NULL);
	while (sys_call3(SYS_tgkill, getpid(), tid, 0) == 0)
		usleep(100);
	ck_assert_uint_ne(label_place_of(tid), 0);
	label_places_sweep();
	ck_assert_uint_eq(label_place_of(tid), 0);
	ck_assert_uint_eq(label_place_of(sys_gettid()), label_set_mine);
}
END_TEST

START_TEST(a_child_keeps_them_under_its_own_id)
{
	uint32_t set = label_set_with(0, "a", "1");
	int status, parent = getpid();
	pid_t child;

	label_place_set(set, sys_gettid);
	child = fork();
	if (child == 0) {
		label_place_after_fork();
		_exit(label_place_of(getpid()) != set || label_place_of(parent) != 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("label_place");
	Suite *s = suite_create("label_place");
	SRunner *r;
	int failed;

	tcase_add_test(t, a_thread_has_what_it_set_last);
	tcase_add_test(t, hundreds_of_threads_each_have_a_place);
	tcase_add_test(t, who_ended_without_a_word_is_swept_away);
	tcase_add_test(t, a_child_keeps_them_under_its_own_id);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
