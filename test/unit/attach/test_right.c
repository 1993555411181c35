/* What is said where the kernel lets nobody attach: each cause has its own way out. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "shim/attach/right.h"

#define PID 1234
#define UID 33

static const struct {
	struct right right;
	int error;
	const char *words[3];
} cases[] = {
	{ { 0, false, true }, ESRCH, { "process 1234 ended" } },
	{ { 1, false, true },
	  EPERM,
	  { "ptrace_scope is 1", "sudo sysctl kernel.yama.ptrace_scope=0",
	    "--cap-add SYS_PTRACE" } },
	{ { 2, false, true }, EPERM, { "ptrace_scope is 2", "sudo", "--cap-add SYS_PTRACE" } },
	{ { 3, true, true }, EPERM, { "ptrace_scope is 3", "pprof-inject instead" } },
	{ { 0, false, false }, EPERM, { "belongs to user 33", "sudo", "--cap-add SYS_PTRACE" } },
	{ { 1, false, false }, EPERM, { "belongs to user 33", "sudo", "--cap-add SYS_PTRACE" } },
	{ { 0, false, true }, EPERM, { "Operation not permitted", "--cap-add SYS_PTRACE" } },
	{ { 0, true, false }, EPERM, { "though you may trace", "on the host" } },
	{ { 1, true, false }, EPERM, { "though you may trace", "on the host" } },
};

START_TEST(right__each_cause_has_its_way_out)
{
	const char *sentence = right_sentence(&cases[_i].right, PID, UID, cases[_i].error);

	for (size_t i = 0; i < ARRAY_SIZE(cases[_i].words) && cases[_i].words[i]; i++)
		ck_assert_msg(strstr(sentence, cases[_i].words[i]), "\"%s\" lacks \"%s\"", sentence,
			      cases[_i].words[i]);
	ck_assert(!strchr(sentence, '\n'));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("right");
	TCase *t = tcase_create("right");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, right__each_cause_has_its_way_out, 0, ARRAY_SIZE(cases));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
