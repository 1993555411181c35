/* The functions behind ours, where threads are a library of their own (glibc before 2.34). */
#include "shim/real/real.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "shim/real/lookup.h"

static bool threads_are_loaded;

/* In the place of lookup_next() for whoever calls it (ld --wrap): what such a libc has. */
void *__wrap_lookup_next(const char *name);
void *__real_lookup_next(const char *name);

void *__wrap_lookup_next(const char *name)
{
	static const char *const late[] = { "pthread_create", "pthread_cancel", "pthread_sigmask",
					    "thrd_exit", "dlclose" };

	for (size_t i = 0; !threads_are_loaded && i < ARRAY_SIZE(late); i++)
		if (strcmp(name, late[i]) == 0)
			return NULL;
	return __real_lookup_next(name);
}

static void *give_back(void *arg)
{
	return arg;
}

START_TEST(real__without_threads_says_so_and_does_no_harm)
{
	pthread_t thread;

	ck_assert(!real_has_threads());
	ck_assert_int_eq(real()->pthread_create(&thread, NULL, give_back, NULL), ENOSYS);
	ck_assert_int_eq(real()->dlclose(NULL), -1);
}
END_TEST

START_TEST(real__finds_threads_that_come_later)
{
	pthread_t thread;
	void *result = NULL;

	ck_assert(!real_has_threads());
	threads_are_loaded = true;
	ck_assert_int_eq(real()->pthread_create(&thread, NULL, give_back, &thread), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, &thread);
	ck_assert(real_has_threads());
	ck_assert_ptr_eq((void *)real()->pthread_exit, lookup_next("pthread_exit"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("real");
	TCase *tc = tcase_create("late");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(tc, real__without_threads_says_so_and_does_no_harm);
	tcase_add_test(tc, real__finds_threads_that_come_later);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
