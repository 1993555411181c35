/* Who is noted as whose creation, while threads come and go. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/process/modules.h"
#include "sampler/threads/births.h"
#include "sampler/unwind/sites.h"

SITE_TABLE(sites, 1UL << 20, COUNTER_THREADCREATE_STACK_TABLE_FULL, COUNTER_THREADCREATE_UNKNOWN);

static struct site *site(uint64_t pc)
{
	return site_of(&sites, &pc, 1);
}

static uint32_t noted_count;
static bool is_noted;

static void note(int tid, void *wanted)
{
	noted_count++;
	is_noted |= tid == *(const int *)wanted;
}

/* How many are noted; is_noted: `tid` among them. */
static uint32_t count_noted(int tid)
{
	noted_count = 0;
	is_noted = false;
	births_each(note, &tid);
	return noted_count;
}

START_TEST(a_thread_is_noted_from_its_start_to_its_end)
{
	birth_begin(site(0x1000));
	ck_assert_uint_eq(count_noted(sys_gettid()), 1);
	ck_assert(is_noted);
	birth_end();
	ck_assert_uint_eq(count_noted(sys_gettid()), 0);
	birth_end(); /* as pthread_exit in a wrapped thread */
	ck_assert_uint_eq(count_noted(sys_gettid()), 0);
}
END_TEST

START_TEST(a_thread_without_a_site_is_not_noted)
{
	birth_begin(NULL);
	ck_assert_uint_eq(count_noted(sys_gettid()), 0);
	birth_end();
}
END_TEST

/* What the parent noted is nobody's in its child, and the child's own places are new. */
START_TEST(a_child_knows_none_of_its_parent_s_threads)
{
	birth_begin(site(0x1000));
	births_after_fork();
	ck_assert_uint_eq(count_noted(sys_gettid()), 0);
	birth_end(); /* the thread that forked ends in the child */
	birth_begin(site(0x2000));
	ck_assert_uint_eq(count_noted(sys_gettid()), 1);
	birth_end();
	ck_assert_uint_eq(count_noted(sys_gettid()), 0);
}
END_TEST

#define THREADS 3000

static pthread_barrier_t all_there, may_go;

static void *noted_thread(void *unused)
{
	birth_begin(site(0x3000));
	pthread_barrier_wait(&all_there);
	pthread_barrier_wait(&may_go);
	birth_end();
	return unused;
}

/* More than one piece of places holds. */
START_TEST(many_threads_are_all_noted)
{
	static pthread_t thread[THREADS];
	pthread_attr_t attr;

	pthread_barrier_init(&all_there, NULL, THREADS + 1);
	pthread_barrier_init(&may_go, NULL, THREADS + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], &attr, noted_thread, NULL), 0);
	pthread_barrier_wait(&all_there);
	ck_assert_uint_eq(count_noted(0), THREADS);
	pthread_barrier_wait(&may_go);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(count_noted(0), 0);
}
END_TEST

static int64_t value_of(const struct stack_table *t, uint64_t pc)
{
	int64_t sum = 0;

	for (size_t i = 0; i < t->count; i++)
		sum += t->list[i]->frame[0] == pc ? t->list[i]->value[0] : 0;
	return sum;
}

static void *vanish(void *unused)
{
	birth_begin(site(0x4000)); /* and never tells of its end, as a cancelled thread */
	return unused;
}

/* Dead ones are found out, and threads that nobody noted are counted all the same. */
START_TEST(a_snapshot_counts_who_is_alive)
{
	struct stack_table t;
	pthread_t thread;

	modules_init();
	pthread_create(&thread, NULL, vanish, NULL);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(count_noted(0), 1);
	stack_table_init(&t, 1 << 20);
	births_snapshot(&t);
	ck_assert_int_eq(value_of(&t, 0x4000), 0);
	ck_assert_uint_eq(count_noted(0), 0);
	stack_table_release(&t);
}
END_TEST

static void *take_snapshot(void *table)
{
	births_snapshot(table);
	return table;
}

START_TEST(a_snapshot_names_the_site)
{
	struct stack_table t;
	pthread_t thread;

	modules_init();
	stack_table_init(&t, 1 << 20);
	birth_begin(site(0x5000));
	pthread_create(&thread, NULL, take_snapshot, &t);
	pthread_join(thread, NULL);
	birth_end();
	ck_assert_int_eq(value_of(&t, 0x5000), 1);
	stack_table_release(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("births");
	TCase *t = tcase_create("births");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, a_thread_is_noted_from_its_start_to_its_end);
	tcase_add_test(t, a_thread_without_a_site_is_not_noted);
	tcase_add_test(t, a_child_knows_none_of_its_parent_s_threads);
	tcase_add_test(t, many_threads_are_all_noted);
	tcase_add_test(t, a_snapshot_counts_who_is_alive);
	tcase_add_test(t, a_snapshot_names_the_site);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
