/* What ticks of processes that were forked in a profile are to stand for. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "http/tree_newborns.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define MS NS_PER_MS

static struct arena arena;
static struct stack_table stacks;
static struct owner_table owners;
static struct tree_clocks clocks;
static struct tree_clock clock_list[8];
static struct tree_newborns n;

static bool all(const struct owner *o, void *arg)
{
	(void)o;
	(void)arg;
	return true;
}

static bool only_seven(const struct owner *o, void *arg)
{
	(void)arg;
	return o->pid == 7;
}

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(1 << 22);
	stack_table_init(&stacks, 1 << 22);
	owners = (struct owner_table){ .arena = &arena };
	clocks = (struct tree_clocks){ .list = clock_list };
	n = (struct tree_newborns){ .stacks = &stacks,
				    .owners = &owners,
				    .clocks = &clocks,
				    .draw_ns = 10 * MS,
				    .period_ns = 10 * MS,
				    .time_value = 1,
				    .is_wanted = all };
}

static void teardown(void)
{
	stack_table_release(&stacks);
	arena_release(&arena);
}

static struct stack *sampled(int pid, bool is_newborn, uint64_t frame, int64_t ms)
{
	const struct owner o = { .pid = pid,
				 .process = "worker",
				 .thread = "",
				 .state = "",
				 .wait_reason = "",
				 .is_newborn = is_newborn };
	struct stack *s = stack_table_add_labelled(&stacks, &frame, 1, owner_number(&owners, &o));

	s->value[1] += ms * MS;
	return s;
}

static struct tree_clock *there(int pid, bool was_there, int64_t ms)
{
	struct tree_clock *c = &clock_list[clocks.count++];

	*c = (struct tree_clock){
		.pid = pid, .was_there = was_there, .is_there = true, .last_ns = ms * MS
	};
	return c;
}

static int64_t weigh(int64_t ended_ms)
{
	int64_t left = tree_newborns_weigh(&n, &arena, ended_ms * MS);

	ck_assert_int_eq(left % MS, 0);
	return left / MS;
}

START_TEST(newborns__samples_stand_for_all_that_they_used)
{
	struct stack *a = sampled(5, true, 0x1000, 30), *b = sampled(6, true, 0x2000, 10);
	struct stack *other = sampled(9, false, 0x3000, 50);

	n.counts = (struct share_head){ .born = 2, .ended = 2, .ended_ns = 60 * MS };
	ck_assert_int_eq(weigh(60), 0);
	ck_assert_int_eq(a->value[1], 45 * MS);
	ck_assert_int_eq(a->value[0], 5);
	ck_assert_int_eq(b->value[1], 15 * MS);
	ck_assert_int_eq(other->value[1], 50 * MS);
}
END_TEST

/* Of programs that were executed, say. */
START_TEST(newborns__time_of_others_is_not_theirs)
{
	struct stack *a = sampled(5, true, 0x1000, 30);

	n.counts = (struct share_head){
		.born = 2, .ended = 2, .ended_ns = 40 * MS, .tails_ns = 5 * MS
	};
	ck_assert_int_eq(weigh(1000), 955);
	ck_assert_int_eq(a->value[1], 45 * MS);
}
END_TEST

/* Some were killed and said nothing: it is theirs, unless that is too much for chance. */
START_TEST(newborns__what_nobody_said_is_believed_within_bounds)
{
	struct stack *a = sampled(5, true, 0x1000, 300);

	n.counts = (struct share_head){ .born = 20, .ended = 10, .ended_ns = 200 * MS };
	ck_assert_int_eq(weigh(500), 0);
	ck_assert_int_eq(a->value[1], 500 * MS);
	a->value[1] = 300 * MS;
	ck_assert_int_eq(weigh(5000), 4700);
	ck_assert_int_eq(a->value[1], 300 * MS);
}
END_TEST

START_TEST(newborns__who_is_there_has_its_clock)
{
	struct stack *a = sampled(5, true, 0x1000, 100), *b = sampled(6, true, 0x2000, 10);
	struct tree_clock *five = there(5, false, 120), *six = there(6, false, 5);

	n.counts = (struct share_head){ .born = 2 };
	ck_assert_int_eq(weigh(0), 0);
	ck_assert_int_eq(a->value[1], 120 * MS);
	ck_assert_int_eq(b->value[1], 5 * MS);
	ck_assert_int_eq(five->sampled_ns, 120 * MS);
	ck_assert_int_eq(six->sampled_ns, 5 * MS);
}
END_TEST

/* A number of a process that was there before is a lie, or was used twice. */
START_TEST(newborns__nobody_answers_for_another)
{
	struct tree_clock *old = there(5, true, 1000);

	sampled(5, true, 0x1000, 10);
	weigh(0);
	ck_assert_int_eq(old->sampled_ns, 0);
}
END_TEST

START_TEST(newborns__who_was_not_asked_for_is_left_out)
{
	struct stack *a = sampled(5, true, 0x1000, 30), *b = sampled(7, true, 0x2000, 10);

	n.counts = (struct share_head){ .born = 2, .ended = 2, .ended_ns = 80 * MS };
	n.is_wanted = only_seven;
	weigh(80);
	ck_assert_int_eq(a->value[1], 0);
	ck_assert_int_eq(a->value[0], 0);
	ck_assert_int_eq(b->value[1], 20 * MS);
}
END_TEST

START_TEST(newborns__none_leave_all_as_it_is)
{
	struct stack *other = sampled(9, false, 0x3000, 50);

	ck_assert_int_eq(weigh(77), 77);
	ck_assert_int_eq(other->value[1], 50 * MS);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("newborns");
	Suite *s = suite_create("newborns");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, newborns__samples_stand_for_all_that_they_used);
	tcase_add_test(t, newborns__time_of_others_is_not_theirs);
	tcase_add_test(t, newborns__what_nobody_said_is_believed_within_bounds);
	tcase_add_test(t, newborns__who_is_there_has_its_clock);
	tcase_add_test(t, newborns__nobody_answers_for_another);
	tcase_add_test(t, newborns__who_was_not_asked_for_is_left_out);
	tcase_add_test(t, newborns__none_leave_all_as_it_is);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
