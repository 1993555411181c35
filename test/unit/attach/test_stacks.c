/* What the alternate stacks of a program's threads say about where ticks may go. */
#include <check.h>
#include <stdlib.h>

#include "sampler/base/cc.h"
#include "shim/attach/stacks.h"

#define FIRST 100 /* the number of the first thread */

static const struct {
	unsigned n;
	struct stacks_one one[4];
	enum carrier_stacks is;
} cases[] = {
	{ 0, { { 0 } }, CARRIER_STACKS_UNSEEN },
	{ 1, { { FIRST, 0x1000, 0x1000 } }, CARRIER_STACKS_OF_ONE },
	{ 1, { { FIRST, 0, 0 } }, CARRIER_STACKS_NONE },
	{ 2, { { FIRST, 0x1000, 0x1000 }, { 101, 0x2000, 0x1000 } }, CARRIER_STACKS_OWN },
	{ 2, { { FIRST, 0x1000, 0x1000 }, { 101, 0, 0 } }, CARRIER_STACKS_OWN },
	/* none at the same address is none, and not one */
	{ 2, { { 101, 0, 0 }, { 102, 0, 0 } }, CARRIER_STACKS_NONE },
	{ 2, { { FIRST, 0x1000, 0x1000 }, { 101, 0x1000, 0x1000 } }, CARRIER_STACKS_SHARED },
	/* by a byte */
	{ 2, { { 101, 0x1000, 0x1000 }, { 102, 0x1fff, 0x1000 } }, CARRIER_STACKS_SHARED },
	{ 2, { { 101, 0x1fff, 0x1000 }, { 102, 0x1000, 0x1000 } }, CARRIER_STACKS_SHARED },
	/* the first thread's own is not what others count on */
	{ 3,
	  { { FIRST, 0x9000, 0x1000 }, { 101, 0x1000, 0x1000 }, { 102, 0x1000, 0x1000 } },
	  CARRIER_STACKS_SHARED },
	{ 3,
	  { { 101, 0x1000, 0x1000 }, { 102, 0x9000, 0x1000 }, { 103, 0x1000, 0x1000 } },
	  CARRIER_STACKS_MIXED },
	{ 3,
	  { { 101, 0x1000, 0x1000 }, { 102, 0, 0 }, { 103, 0x1000, 0x1000 } },
	  CARRIER_STACKS_SHARED },
};

START_TEST(stacks__tell_whether_ticks_may_go_there)
{
	ck_assert_int_eq(stacks_judge(cases[_i].one, cases[_i].n, FIRST), cases[_i].is);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stacks");
	TCase *t = tcase_create("stacks");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, stacks__tell_whether_ticks_may_go_there, 0, ARRAY_SIZE(cases));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
