/* Finding the functions behind ours; here "ours" is this executable. */
#include <check.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "shim/real/lookup.h"

static const char *const names[] = {
	"malloc",	   "free",	    "calloc",
	"pthread_create",  "sigaction",	    "pthread_sigmask",
	"sigprocmask",	   "fork",	    "signal",
	"strerror",	   "clock_gettime", "dlopen",
	"dl_iterate_phdr", "environ",	    "__libc_start_main",
	"suboptarg",
};

/* With an old version too: the default one counts. */
static const char *const versioned[] = {
	"pthread_cond_wait", "pthread_cond_signal", "memcpy",	   "realpath", "fmemopen",
	"regexec",	     "posix_spawn",	    "pthread_kill"
};

/* Chosen at load time, by a function of their own. */
static const char *const chosen[] = { "strlen", "memmove", "strchr", "time", "gettimeofday" };

static void expect_as_dlsym(const char *const *name, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		void *expected = dlsym(RTLD_NEXT, name[i]);

		ck_assert_msg(lookup_next(name[i]) == expected, "%s: %p is not %p", name[i],
			      lookup_next(name[i]), expected);
	}
}

START_TEST(lookup__finds_what_the_loader_finds)
{
	expect_as_dlsym(names, ARRAY_SIZE(names));
	ck_assert_ptr_nonnull(lookup_next("malloc"));
}
END_TEST

START_TEST(lookup__takes_the_default_version)
{
	expect_as_dlsym(versioned, ARRAY_SIZE(versioned));
}
END_TEST

/*
 * nftw did not look at unknown flags once: two versions at two addresses.  Sanitizers leave
 * it to libc, as they do not with realpath.
 */
START_TEST(lookup__finds_the_version_that_is_asked_for)
{
	struct lookup_found libc;

	ck_assert(lookup_find_next("nftw", &libc));
	ck_assert_str_eq(libc.version, "GLIBC_2.3.3");
	ck_assert_ptr_eq(lookup_version(libc.in, "nftw", "GLIBC_2.3.3"), libc.at);
	ck_assert_ptr_eq(lookup_version(libc.in, "nftw", "GLIBC_2.2.5"),
			 dlvsym(RTLD_NEXT, "nftw", "GLIBC_2.2.5"));
	ck_assert_ptr_ne(libc.at, dlvsym(RTLD_NEXT, "nftw", "GLIBC_2.2.5"));
	ck_assert_ptr_null(lookup_version(libc.in, "nftw", "GLIBC_2.4"));
}
END_TEST

START_TEST(lookup__asks_a_chooser_for_its_choice)
{
	expect_as_dlsym(chosen, ARRAY_SIZE(chosen));
}
END_TEST

/* The vdso's clock_gettime returns -errno, for one; it is in the loader's list nevertheless. */
START_TEST(lookup__never_finds_the_vdso)
{
	ck_assert_ptr_eq(lookup_next("clock_gettime"), dlsym(RTLD_NEXT, "clock_gettime"));
	ck_assert_ptr_null(lookup_next("__vdso_clock_gettime"));
}
END_TEST

START_TEST(lookup__finds_the_vdso_where_it_is_asked_for)
{
	int (*clock)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *))lookup_vdso("__vdso_clock_gettime");
	struct timespec a, b;

	ck_assert_ptr_nonnull(clock);
	ck_assert_int_eq(clock(CLOCK_MONOTONIC, &a), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert(b.tv_sec - a.tv_sec >= 0 && b.tv_sec - a.tv_sec < 60);
	ck_assert_ptr_null(lookup_vdso("malloc"));
}
END_TEST

START_TEST(lookup__an_unknown_name_is_null)
{
	static const char *const unknown[] = { "", "no_such_function_anywhere", "mallo", "mallocc",
					       "main" };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		ck_assert_msg(!lookup_next(unknown[i]), "%s", unknown[i]);
}
END_TEST

/* Names that libc imports or hides: seen in its tables, but not defined there. */
START_TEST(lookup__an_imported_name_is_not_a_definition)
{
	ck_assert_ptr_eq(lookup_next("__tls_get_addr"), dlsym(RTLD_NEXT, "__tls_get_addr"));
	ck_assert_ptr_null(lookup_next("_ITM_registerTMCloneTable"));
}
END_TEST

START_TEST(lookup__nothing_comes_before_an_executable)
{
	ck_assert(!lookup_comes_earlier("malloc"));
	ck_assert(!lookup_comes_earlier("main"));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("lookup");
	Suite *s = suite_create("lookup");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, lookup__finds_what_the_loader_finds);
	tcase_add_test(t, lookup__takes_the_default_version);
	tcase_add_test(t, lookup__finds_the_version_that_is_asked_for);
	tcase_add_test(t, lookup__asks_a_chooser_for_its_choice);
	tcase_add_test(t, lookup__never_finds_the_vdso);
	tcase_add_test(t, lookup__finds_the_vdso_where_it_is_asked_for);
	tcase_add_test(t, lookup__an_unknown_name_is_null);
	tcase_add_test(t, lookup__an_imported_name_is_not_a_definition);
	tcase_add_test(t, lookup__nothing_comes_before_an_executable);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
