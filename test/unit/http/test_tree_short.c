/* Members that lived for less than a few ticks are weighed together with others of their name. */
#include <check.h>
#include <stdlib.h>

#include "http/tree_short.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define MS NS_PER_MS

static struct arena arena;
static struct stack_table stacks;
static struct owner_table owners;
static struct tree_short short_lived;

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(1 << 22);
	stack_table_init(&stacks, 1 << 22);
	owners = (struct owner_table){ .arena = &arena };
	short_lived = (struct tree_short){ .arena = &arena };
}

static void teardown(void)
{
	stack_table_release(&stacks);
	arena_release(&arena);
}

static struct stack *used(int pid, const char *name, uint64_t frame, int64_t ms)
{
	const struct owner o = {
		.pid = pid, .process = name, .thread = "", .state = "", .wait_reason = ""
	};
	struct stack *s = stack_table_add_labelled(&stacks, &frame, 1, owner_number(&owners, &o));

	s->value[1] = ms * MS;
	return s;
}

static void weigh(void)
{
	tree_short_weigh(&short_lived, &stacks, &owners, 10 * MS, 10 * MS, 0, 1);
}

START_TEST(short_lived__ticks_of_some_stand_for_all_of_their_name)
{
	struct stack *a = used(1, "cgi", 0x1000, 20), *b = used(2, "cgi", PSEUDO_UNSAMPLED, 20);
	struct stack *c = used(3, "other", PSEUDO_UNSAMPLED, 20);
	struct stack *d = used(4, "cgi", PSEUDO_UNSAMPLED, 500);

	for (int pid = 1; pid <= 3; pid++)
		tree_short_note(&short_lived, pid);
	weigh();
	ck_assert_int_eq(a->value[1], 40 * MS);
	ck_assert_int_eq(a->value[0], 4);
	ck_assert_int_eq(b->value[1], 0);
	ck_assert_int_eq(c->value[1], 20 * MS);	 /* no tick met one of that name */
	ck_assert_int_eq(d->value[1], 500 * MS); /* it is not short */
}
END_TEST

START_TEST(short_lived__one_tick_does_not_stand_for_hundreds)
{
	struct stack *a = used(1, "cgi", 0x1000, 10);

	tree_short_note(&short_lived, 1);
	for (int pid = 2; pid < 200; pid++) {
		used(pid, "cgi", PSEUDO_UNSAMPLED, 20);
		tree_short_note(&short_lived, pid);
	}
	weigh();
	ck_assert_int_eq(a->value[1], 10 * MS);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("short_lived");
	Suite *s = suite_create("short_lived");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, short_lived__ticks_of_some_stand_for_all_of_their_name);
	tcase_add_test(t, short_lived__one_tick_does_not_stand_for_hundreds);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
