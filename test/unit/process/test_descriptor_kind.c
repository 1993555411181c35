/* What a descriptor is, by its link in /proc. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "sampler/process/descriptor_kind.h"
#include "sampler/process/task_call.h"
#include "sampler/process/tasks.h"

static enum descriptor_kind kind_of(int fd)
{
	return descriptor_kind_read(tasks_dir(), gettid(), (uint64_t)fd);
}

START_TEST(descriptor_kind__by_the_text_of_the_link)
{
	ck_assert_int_eq(descriptor_kind_parse("socket:[81]"), DESCRIPTOR_SOCKET);
	ck_assert_int_eq(descriptor_kind_parse("pipe:[81]"), DESCRIPTOR_PIPE);
	ck_assert_int_eq(descriptor_kind_parse("anon_inode:[eventfd]"), DESCRIPTOR_EVENT);
	ck_assert_int_eq(descriptor_kind_parse("/dev/tty"), DESCRIPTOR_DEVICE);
	ck_assert_int_eq(descriptor_kind_parse("/devices"), DESCRIPTOR_FILE);
	ck_assert_int_eq(descriptor_kind_parse("/a file (deleted)"), DESCRIPTOR_FILE);
	ck_assert_int_eq(descriptor_kind_parse(""), DESCRIPTOR_UNKNOWN);
	ck_assert_int_eq(descriptor_kind_parse("mnt:[81]"), DESCRIPTOR_UNKNOWN);
}
END_TEST

START_TEST(descriptor_kind__of_our_own_descriptors)
{
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(kind_of(fd[0]), DESCRIPTOR_PIPE);
	ck_assert_int_eq(kind_of(socket(AF_UNIX, SOCK_STREAM, 0)), DESCRIPTOR_SOCKET);
	ck_assert_int_eq(kind_of(timerfd_create(CLOCK_MONOTONIC, 0)), DESCRIPTOR_EVENT);
	ck_assert_int_eq(kind_of(open("/dev/null", O_RDONLY)), DESCRIPTOR_DEVICE);
	ck_assert_int_eq(kind_of(open("/proc/self/exe", O_RDONLY)), DESCRIPTOR_FILE);
	ck_assert_int_eq(kind_of(9999), DESCRIPTOR_UNKNOWN);
	ck_assert_int_eq(descriptor_kind_read(tasks_dir(), gettid(), UINT64_MAX),
			 DESCRIPTOR_UNKNOWN);
}
END_TEST

/* Opened for both, so that nobody has to come. */
static void *read_fifo(void *fd)
{
	char c;

	return (void *)read(*(int *)fd, &c, 1);
}

START_TEST(descriptor_kind__a_fifo_in_which_a_thread_sleeps_is_a_pipe)
{
	char path[] = "/tmp/test_descriptor_kind.XXXXXX", name[64];
	pthread_t thread;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path) | mkfifo("fifo", 0600), 0);
	fd = open("fifo", O_RDWR);
	unlink("fifo");
	rmdir(path);
	ck_assert_int_eq(kind_of(fd), DESCRIPTOR_FILE); /* nobody sleeps in it */
	pthread_create(&thread, NULL, read_fifo, &fd);
	for (int tid = gettid() + 1, i = 0; i < 2000; i++) {
		usleep(1000);
		task_wchan_read(tasks_dir(), tid, name, sizeof(name));
		if (!*name)
			continue; /* it is not there yet, or the kernel does not tell */
		ck_assert_int_eq(descriptor_kind_read(tasks_dir(), tid, (uint64_t)fd),
				 DESCRIPTOR_PIPE);
		break;
	}
	ck_assert_int_eq(write(fd, "x", 1), 1);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("descriptor_kind");
	Suite *s = suite_create("descriptor_kind");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, descriptor_kind__by_the_text_of_the_link);
	tcase_add_test(t, descriptor_kind__of_our_own_descriptors);
	tcase_add_test(t, descriptor_kind__a_fifo_in_which_a_thread_sleeps_is_a_pipe);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
