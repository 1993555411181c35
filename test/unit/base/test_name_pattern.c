/* What %p, %n and %t stand for. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/name_pattern.h"

static const struct name_parts parts = { .pid = 42, .program = "redis", .started_s = 1700000000 };

static const struct {
	const char *pattern, *name;
} cases[] = {
	{ "", "" },	    { "/run/x", "/run/x" },
	{ "%p", "42" },	    { "/%n.%p.%t", "/redis.42.1700000000" },
	{ "%p%p", "4242" }, { "100%%", "100%" },
	{ "%%p", "%p" },
};

START_TEST(name_pattern__writes)
{
	char name[64];
	struct text t = TEXT_INIT(name);

	name[0] = '\0';
	ck_assert(name_pattern_is_valid(cases[_i].pattern));
	name_pattern_write(&t, cases[_i].pattern, &parts);
	ck_assert_str_eq(name, cases[_i].name);
}
END_TEST

static const char *const bad[] = { "%", "%x", "%%%", "/run/%P", "a%", "%5p" };

START_TEST(name_pattern__other_letters_are_refused)
{
	ck_assert(!name_pattern_is_valid(bad[_i]));
}
END_TEST

START_TEST(name_pattern__what_does_not_fit_is_told)
{
	char name[8];
	struct text t = TEXT_INIT(name);

	name_pattern_write(&t, "/%t", &parts);
	ck_assert(t.cut);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("name_pattern");
	Suite *s = suite_create("name_pattern");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, name_pattern__writes, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, name_pattern__other_letters_are_refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, name_pattern__what_does_not_fit_is_told);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
