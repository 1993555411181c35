/* Objects as they lie in memory: those of this program stand for another's. */
#define _GNU_SOURCE 1
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/attach/choose.h"
#include "shim/attach/image.h"
#include "shim/attach/proc.h"

static struct image libc(void)
{
	struct image im;

	ck_assert(image_find_loaded(&im, getpid(), "libc.so.6"));
	return im;
}

START_TEST(image__symbols_are_where_the_loader_finds_them)
{
	static const char *const names[] = { "dlopen", "dlerror", "__errno_location", "getpid",
					     "exit" };
	const struct image im = libc();
	void *loaded = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		ck_assert_msg(image_find(&im, names[i], NULL) == (uint64_t)dlsym(loaded, names[i]),
			      "%s", names[i]);
	dlclose(loaded);
}
END_TEST

/* dlmopen and LD_AUDIT bring a libc of their own. */
START_TEST(image__of_several_the_programs_own_is_found)
{
	const struct image before = libc();
	void *other = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	struct image after;

	ck_assert_ptr_ne(other, NULL);
	after = libc();
	ck_assert_uint_eq(after.start, before.start);
	dlclose(other);
}
END_TEST

START_TEST(image__what_is_not_there_is_not_found)
{
	const struct image im = libc();
	struct image none;

	ck_assert_uint_eq(image_find(&im, "dlopen_", NULL), 0);
	ck_assert_uint_eq(image_find(&im, "", NULL), 0);
	ck_assert(!image_find_loaded(&none, getpid(), "libnothing"));
	ck_assert(!image_find_loaded(&none, getpid(),
				     "libc.so.")); /* a name, and not its beginning */
}
END_TEST

START_TEST(image__memory_that_is_no_object_is_none)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct image im;

	ck_assert(!image_open(&im, getpid(), (uint64_t)page));
	munmap(page, 8192);
	ck_assert(!image_open(&im, getpid(), (uint64_t)page));
}
END_TEST

/* What comes from another process is read with bounds: each byte of the header is spoilt. */
START_TEST(image__spoilt_headers_harm_nobody)
{
	const struct image im = libc();
	unsigned char *copy =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < 1024; i++) {
		struct image spoilt;

		ck_assert(memory_read(getpid(), im.start, copy, 4096));
		copy[i] ^= 0xff;
		if (image_open(&spoilt, getpid(), (uint64_t)copy))
			image_find(&spoilt, "dlopen", NULL);
	}
	munmap(copy, 8192);
}
END_TEST

START_TEST(proc__a_string_at_the_end_of_memory_is_read)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char text[64];

	munmap(page + 4096, 4096);
	page[4094] = 'x';
	ck_assert(memory_read_string(getpid(), (uint64_t)page + 4094, text, sizeof(text)));
	ck_assert_str_eq(text, "x");
	page[4095] = 'y';
	ck_assert(!memory_read_string(getpid(), (uint64_t)page + 4094, text, sizeof(text)));
}
END_TEST

START_TEST(proc__fields_of_a_status_file)
{
	static const char status[] = "Name:\tUid:\nUid:\t1\t2\t3\t4\nSigIgn:\t0000000000000400\n";

	ck_assert_str_eq(status_field(status, "Uid"), "1\t2\t3\t4");
	ck_assert_str_eq(status_field(status, "Gid"), "");
}
END_TEST

/* The only thread of this program computes, and is not to be chosen. */
START_TEST(choose__nobody_is_chosen_who_runs)
{
	const struct image im = libc();
	struct waiting w;

	ck_assert(!choose_thread(&im, &w));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("image");
	TCase *t = tcase_create("image");
	SRunner *r;
	int failed;

	tcase_add_test(t, image__symbols_are_where_the_loader_finds_them);
	tcase_add_test(t, image__of_several_the_programs_own_is_found);
	tcase_add_test(t, image__what_is_not_there_is_not_found);
	tcase_add_test(t, image__memory_that_is_no_object_is_none);
	tcase_add_test(t, image__spoilt_headers_harm_nobody);
	tcase_add_test(t, proc__a_string_at_the_end_of_memory_is_read);
	tcase_add_test(t, proc__fields_of_a_status_file);
	tcase_add_test(t, choose__nobody_is_chosen_who_runs);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
