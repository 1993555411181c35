/* Files that are written again and again, and never over another's. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/out_file.h"
#include "sampler/base/sys.h"

static char folder[] = "/tmp/test_out_file.XXXXXX";
static int dir;
static struct out_file file;

static void setup(void)
{
	strcpy(strrchr(folder, '.'), ".XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	file = (struct out_file){ 0 };
}

static void teardown(void)
{
	char command[128];

	close(dir);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static int write_text(struct out_file *f, const char *text)
{
	return out_file_write(f, dir, "name.1", "cpu.pb.gz",
			      (struct bytes){ (const uint8_t *)text, strlen(text) });
}

static void put(const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void expect(const char *name, const char *text)
{
	char got[64] = "";
	int fd = openat(dir, name, O_RDONLY);

	ck_assert_msg(fd >= 0, "%s", name);
	ck_assert_int_ge(read(fd, got, sizeof(got) - 1), 0);
	close(fd);
	ck_assert_str_eq(got, text);
}

static int count_files(void)
{
	char command[128];
	int n = -1;
	FILE *f;

	snprintf(command, sizeof(command), "ls -A %s | wc -l", folder);
	f = popen(command, "r");
	ck_assert(f && fscanf(f, "%d", &n) == 1);
	pclose(f);
	return n;
}

START_TEST(out_file__is_written_again)
{
	struct stat st;

	ck_assert_int_eq(write_text(&file, "one"), 0);
	ck_assert_int_eq(write_text(&file, "two"), 0);
	expect("name.1.cpu.pb.gz", "two");
	ck_assert_int_eq(count_files(), 1);
	fstatat(dir, "name.1.cpu.pb.gz", &st, 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(out_file__mask_and_mode_are_independent)
{
	mode_t before = umask(0777);
	struct stat st;

	ck_assert_int_eq(write_text(&file, "one"), 0);
	umask(before);
	fstatat(dir, "name.1.cpu.pb.gz", &st, 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(out_file__others_keep_theirs)
{
	put("name.1.cpu.pb.gz", "precious");
	ck_assert_int_eq(symlinkat("/dev/null", dir, "name.1-2.cpu.pb.gz"), 0);
	ck_assert_int_eq(write_text(&file, "one"), 0);
	ck_assert_int_eq(write_text(&file, "two"), 0);
	expect("name.1.cpu.pb.gz", "precious");
	expect("name.1-3.cpu.pb.gz", "two");
	ck_assert_int_eq(count_files(), 3);
}
END_TEST

START_TEST(out_file__what_took_its_place_stays)
{
	ck_assert_int_eq(write_text(&file, "one"), 0);
	unlinkat(dir, "name.1.cpu.pb.gz", 0);
	put("name.1.cpu.pb.gz", "precious");
	ck_assert_int_eq(write_text(&file, "two"), 0);
	expect("name.1.cpu.pb.gz", "precious");
	expect("name.1-2.cpu.pb.gz", "two");
}
END_TEST

START_TEST(out_file__one_that_was_taken_away_comes_back)
{
	ck_assert_int_eq(write_text(&file, "one"), 0);
	unlinkat(dir, "name.1.cpu.pb.gz", 0);
	ck_assert_int_eq(write_text(&file, "two"), 0);
	expect("name.1.cpu.pb.gz", "two");
}
END_TEST

/* Two containers that share a directory may have the same program and number. */
static int write_first_files(void)
{
	const int64_t until_ns = sys_now_ns() + NS_PER_SECOND / 2;
	int failed = 0;

	while (!failed && sys_now_ns() < until_ns) {
		struct out_file f = { 0 };
		char name[64] = "name.1.cpu.pb.gz";

		failed = write_text(&f, "a text");
		if (f.number)
			snprintf(name, sizeof(name), "name.1-%u.cpu.pb.gz", f.number);
		unlinkat(dir, name, 0);
	}
	return failed;
}

START_TEST(out_file__a_twin_in_another_namespace_is_not_disturbed)
{
	pid_t twin = fork();
	int status, failed = write_first_files();

	if (twin == 0)
		_exit(-failed);
	waitpid(twin, &status, 0);
	ck_assert_int_eq(failed, 0);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(count_files(), 0);
}
END_TEST

START_TEST(out_file__a_part_of_others_stays)
{
	put(".name.1.cpu.pb.gz.part", "half");
	ck_assert_int_eq(write_text(&file, "one"), 0);
	expect("name.1.cpu.pb.gz", "one");
	expect(".name.1.cpu.pb.gz.part", "half");
	ck_assert_int_eq(count_files(), 2);
}
END_TEST

START_TEST(out_file__errors_leave_nothing)
{
	ck_assert_int_eq(out_file_write(&file, -1, "n", "k", (struct bytes){ 0 }), -EBADF);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(write_text(&file, "one"), -ENOENT);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("out_file");
	Suite *s = suite_create("out_file");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, out_file__is_written_again);
	tcase_add_test(t, out_file__mask_and_mode_are_independent);
	tcase_add_test(t, out_file__others_keep_theirs);
	tcase_add_test(t, out_file__what_took_its_place_stays);
	tcase_add_test(t, out_file__one_that_was_taken_away_comes_back);
	tcase_add_test(t, out_file__a_twin_in_another_namespace_is_not_disturbed);
	tcase_add_test(t, out_file__a_part_of_others_stays);
	tcase_add_test(t, out_file__errors_leave_nothing);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
