/* Nothing that a module has to forget in a forked child is forgotten to be reset. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/life/after_fork.h"

/* Run from the root, as all tests are. */
#define DECLARED                                                                                   \
	"grep -hoE '\\b[a-z_]+_after_fork\\(void\\)' sampler/*/*.h shim/*/*.h http/*.h | sed "     \
	"'s/_after_fork.*//'"
#define CALLED                                                                                     \
	"grep -hoE '\\b%s_after_fork\\(\\)' sampler/*/%s*.c shim/life/%s*.c http/%s*.c "           \
	"2>/dev/null | wc -l"

static const char *const listed[] = {
#define X(module, ...) #module,
	AFTER_FORK_AT_FIRST_HOOK(X) AFTER_FORK_AT_TAKEOVER(X) AFTER_FORK_WITHIN(X)
#undef X
};

#define LISTED (sizeof(listed) / sizeof(listed[0]))

static int times_listed(const char *name)
{
	int n = 0;

	for (size_t i = 0; i < LISTED; i++)
		n += strcmp(listed[i], name) == 0;
	return n;
}

START_TEST(after_fork__every_function_is_on_one_list)
{
	FILE *f = popen(DECLARED, "r");
	char name[64];
	size_t found = 0;

	ck_assert_ptr_nonnull(f);
	for (; fscanf(f, "%63s", name) == 1; found++)
		ck_assert_msg(times_listed(name) == 1, "%s_after_fork is on %d lists", name,
			      times_listed(name));
	pclose(f);
	ck_assert_uint_eq(found, LISTED);
}
END_TEST

static int calls(const char *module, const char *owner)
{
	char command[256];
	FILE *f;
	int n = 0;

	snprintf(command, sizeof(command), CALLED, module, owner, owner, owner);
	f = popen(command, "r");
	ck_assert(f && fscanf(f, "%d", &n) == 1);
	pclose(f);
	return n;
}

START_TEST(after_fork__parts_are_reset_by_what_they_are_parts_of)
{
#define X(module, owner)                                                                           \
	ck_assert_msg(calls(#module, #owner) == 1, #owner " does not reset " #module);
	AFTER_FORK_WITHIN(X)
#undef X
}
END_TEST

int main(void)
{
	Suite *s = suite_create("after_fork");
	TCase *t = tcase_create("after_fork");
	SRunner *r;
	int failed;

	tcase_add_test(t, after_fork__every_function_is_on_one_list);
	tcase_add_test(t, after_fork__parts_are_reset_by_what_they_are_parts_of);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
