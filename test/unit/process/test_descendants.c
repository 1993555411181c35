/* The processes below this one, and their clocks. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sampler/process/descendants.h"

/* A child that has this name, and a child of its own if there are generations left. */
static pid_t start(const char *name, int generations, int done)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_NAME, name);
	if (generations)
		start(name, generations - 1, done);
	if (write(done, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void wait_for(int fd, int count)
{
	char c;

	while (count--)
		ck_assert_int_eq(read(fd, &c, 1), 1);
}

START_TEST(descendants__all_generations_are_found_whatever_they_are_called)
{
	static const char name[] = "a) R 1 (b c";
	struct arena a = ARENA_INIT(1 << 24);
	struct process_list l;
	int ends[2], found = 0;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	setpgid(0, 0);
	child = start(name, 2, ends[1]);
	wait_for(ends[0], 3);
	descendants_list(&a, getpid(), &l);
	ck_assert(!l.no_proc);
	ck_assert_uint_eq(l.count, 4);
	for (size_t i = 0; i < l.count; i++)
		if (l.list[i].pid != getpid()) {
			ck_assert_str_eq(l.list[i].name, name);
			ck_assert(strchr("SR", l.list[i].state) != NULL);
			ck_assert_uint_eq(l.list[i].threads, 1);
			found++;
		}
	ck_assert_int_eq(found, 3);
	ck_assert_int_eq(descendants_find(&l, child)->parent, getpid());
	ck_assert_ptr_null(descendants_find(&l, 1));
	descendants_list(&a, child, &l);
	ck_assert_uint_eq(l.count, 3);
	ck_assert_ptr_null(descendants_find(&l, getpid()));
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	arena_release(&a);
}
END_TEST

START_TEST(process__a_clock_is_read_from_outside)
{
	struct timespec ts;
	int64_t before, after;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	before = ts.tv_sec * 1000000000LL + ts.tv_nsec;
	after = process_cpu_ns(getpid());
	ck_assert_int_ge(after, before);
	ck_assert_int_lt(after, before + 1000000000);
	ck_assert_int_ge(process_cpu_ns(getppid()), 0);
	ck_assert_int_eq(process_cpu_ns(0x3ffffff), -1);
}
END_TEST

START_TEST(process__one_that_is_not_there_is_not_read)
{
	struct process p;

	ck_assert(!process_read(0x3ffffff, &p));
	ck_assert(process_read(getpid(), &p));
	ck_assert_int_eq(p.parent, getppid());
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("descendants");
	Suite *s = suite_create("descendants");
	SRunner *r;
	int failed;

	tcase_add_test(t, descendants__all_generations_are_found_whatever_they_are_called);
	tcase_add_test(t, process__a_clock_is_read_from_outside);
	tcase_add_test(t, process__one_that_is_not_there_is_not_read);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
