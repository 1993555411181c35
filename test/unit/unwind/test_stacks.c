#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/counters.h"
#include "sampler/process/label_set.h"
#include "sampler/unwind/stacks.h"

#define ROOMY (64UL << 20)

static struct stack_table table;

static void setup(void)
{
	stack_table_init(&table, ROOMY);
}

static void teardown(void)
{
	stack_table_release(&table);
}

/* Stack number `i` of a family of different ones, `depth` frames deep. */
static const uint64_t *stack_number(uint64_t i, uint32_t depth)
{
	static uint64_t pc[STACK_DEPTH_MAX];

	for (uint32_t k = 0; k < depth; k++)
		pc[k] = 0x400000 + k * 64;
	pc[depth / 2] += i;
	return pc;
}

static struct stack *add_number(uint64_t i, uint32_t depth)
{
	return stack_table_add(&table, stack_number(i, depth), depth);
}

START_TEST(an_empty_table_has_no_memory)
{
	ck_assert_uint_eq(table.count, 0);
	ck_assert_uint_eq(table.arena.mapped, 0);
}
END_TEST

START_TEST(a_new_stack_is_kept_as_given_with_zero_values)
{
	const uint64_t pc[] = { 0x1000, 0x2000, 0x3000 };
	struct stack *s = stack_table_add(&table, pc, 3);

	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(table.count, 1);
	ck_assert_ptr_eq(table.list[0], s);
	ck_assert_uint_eq(s->depth, 3);
	ck_assert_mem_eq(s->frame, pc, sizeof(pc));
	for (int i = 0; i < STACK_VALUES_MAX; i++)
		ck_assert_int_eq(s->value[i], 0);
}
END_TEST

START_TEST(the_same_stack_is_found_again)
{
	struct stack *s = add_number(1, 20);

	ck_assert_ptr_eq(add_number(1, 20), s);
	ck_assert_uint_eq(table.count, 1);
}
END_TEST

START_TEST(stacks_that_differ_in_one_frame_or_depth_are_different)
{
	const uint64_t pc[] = { 0x1000, 0x2000, 0x3000 }, last[] = { 0x1000, 0x2000, 0x3001 };
	struct stack *s[4] = {
		stack_table_add(&table, pc, 3),
		stack_table_add(&table, last, 3),
		stack_table_add(&table, pc, 2),
		stack_table_add(&table, pc + 1, 2),
	};

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < i; k++)
			ck_assert_ptr_ne(s[i], s[k]);
	ck_assert_uint_eq(table.count, 4);
}
END_TEST

START_TEST(a_stack_without_frames_is_a_stack)
{
	const uint64_t pc[] = { 0x1000 };
	struct stack *s = stack_table_add(&table, pc, 0);

	ck_assert_ptr_nonnull(s);
	ck_assert_ptr_eq(stack_table_add(&table, pc, 0), s);
	ck_assert_ptr_ne(stack_table_add(&table, pc, 1), s);
}
END_TEST

START_TEST(growing_keeps_every_stack_and_the_order_of_arrival)
{
	static struct stack *s[STACK_TABLE_MAX];

	for (size_t i = 0; i < STACK_TABLE_MAX; i++)
		s[i] = add_number(i, 8);
	ck_assert_uint_eq(table.count, STACK_TABLE_MAX);
	for (size_t i = 0; i < STACK_TABLE_MAX; i++) {
		ck_assert_ptr_eq(table.list[i], s[i]);
		ck_assert_ptr_eq(add_number(i, 8), s[i]);
	}
	ck_assert_uint_eq(table.count, STACK_TABLE_MAX);
}
END_TEST

START_TEST(beyond_the_limit_all_new_stacks_are_the_other_stacks)
{
	uint64_t dropped = counter_get(COUNTER_STACKS_DROPPED_TABLE_FULL);
	struct stack *other, *first = add_number(0, 8);

	for (size_t i = 1; i < STACK_TABLE_MAX; i++)
		add_number(i, 8);
	other = add_number(STACK_TABLE_MAX, 8);
	ck_assert_uint_eq(other->depth, 1);
	ck_assert_uint_eq(other->frame[0], PSEUDO_OTHER);
	ck_assert_ptr_eq(table.list[STACK_TABLE_MAX], other);
	ck_assert_ptr_eq(add_number(STACK_TABLE_MAX + 1, 8), other);
	ck_assert_ptr_eq(add_number(0, 8), first);
	ck_assert_uint_eq(table.count, STACK_TABLE_MAX + 1);
	ck_assert_uint_eq(counter_get(COUNTER_STACKS_DROPPED_TABLE_FULL), dropped + 2);
}
END_TEST

START_TEST(a_table_that_is_nearly_full_drops_labels_before_stacks)
{
	uint64_t frame[] = { 0x400000, 0x500000, FRAME_OF_LABELS };
	uint64_t dropped = counter_get(COUNTER_LABELS_DROPPED);
	struct stack *old = stack_table_add(&table, frame, 3);

	ck_assert_uint_eq(old->depth, 3);
	for (uint64_t i = 0; table.count < STACK_TABLE_LABELLED; i++)
		add_number(i, 8);
	ck_assert_ptr_eq(stack_table_add(&table, frame, 3), old);
	frame[2]++;
	ck_assert_uint_eq(stack_table_add(&table, frame, 3)->depth, 2);
	frame[2]++;
	ck_assert_ptr_eq(stack_table_add(&table, frame, 3), stack_table_add(&table, frame, 2));
	ck_assert_uint_eq(counter_get(COUNTER_LABELS_DROPPED), dropped + 2);
}
END_TEST

START_TEST(other_stacks_may_be_added_by_name)
{
	const uint64_t pc[] = { PSEUDO_OTHER };
	struct stack *other = stack_table_add(&table, pc, 1);

	ck_assert_uint_eq(table.count, 1);
	ck_assert_ptr_eq(table.list[0], other);
	for (size_t i = 0; i < STACK_TABLE_MAX; i++)
		add_number(i, 8);
	ck_assert_ptr_eq(add_number(STACK_TABLE_MAX, 8), other);
	ck_assert_uint_eq(table.count, STACK_TABLE_MAX);
}
END_TEST

/* Adds `n` stacks with the value 1; returns what the table holds in all. */
static int64_t total_of(size_t n)
{
	int64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		struct stack *s = add_number(i, 100);

		if (!s)
			return -1;
		s->value[0]++;
	}
	for (size_t i = 0; i < table.count; i++)
		total += table.list[i]->value[0];
	return total;
}

START_TEST(whatever_the_memory_totals_are_true)
{
	bool some_fit = false, all_fit = false;

	for (size_t limit = 0; !all_fit; limit += limit < (128UL << 10) ? 4096 : 96UL << 10) {
		int64_t total;

		ck_assert_uint_le(limit, ROOMY);
		stack_table_init(&table, limit);
		total = total_of(2000);
		all_fit = table.count == 2000;
		ck_assert_int_eq(total, total < 0 && !some_fit ? -1 : 2000);
		some_fit |= total == 2000;
		ck_assert_uint_le(table.arena.mapped, limit);
		stack_table_release(&table);
	}
}
END_TEST

START_TEST(a_released_table_is_empty_and_usable)
{
	add_number(1, 8);
	stack_table_release(&table);
	ck_assert_uint_eq(table.count, 0);
	ck_assert_uint_eq(table.arena.mapped, 0);
	ck_assert_ptr_nonnull(add_number(1, 8));
	ck_assert_uint_eq(table.count, 1);
}
END_TEST

START_TEST(every_pseudo_frame_has_a_name_of_its_own)
{
	for (uint64_t id = 1; id < PSEUDO_COUNT; id++) {
		const char *name = pseudo_frame_name(id);

		ck_assert_ptr_nonnull(name);
		if (id <= PSEUDO_UNKNOWN) {
			ck_assert_int_eq(name[0], '[');
			ck_assert_int_eq(name[strlen(name) - 1], ']');
		}
		for (uint64_t k = 1; k < id; k++)
			ck_assert_str_ne(name, pseudo_frame_name(k));
	}
	ck_assert_str_eq(pseudo_frame_name(PSEUDO_CALL_sem_wait), "sem_wait");
	ck_assert_str_eq(pseudo_frame_name(0), "[unknown]");
	ck_assert_str_eq(pseudo_frame_name(PSEUDO_COUNT), "[unknown]");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("stacks");
	Suite *suite = suite_create("stacks");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_empty_table_has_no_memory);
	tcase_add_test(tc, a_new_stack_is_kept_as_given_with_zero_values);
	tcase_add_test(tc, the_same_stack_is_found_again);
	tcase_add_test(tc, stacks_that_differ_in_one_frame_or_depth_are_different);
	tcase_add_test(tc, a_stack_without_frames_is_a_stack);
	tcase_add_test(tc, growing_keeps_every_stack_and_the_order_of_arrival);
	tcase_add_test(tc, beyond_the_limit_all_new_stacks_are_the_other_stacks);
	tcase_add_test(tc, a_table_that_is_nearly_full_drops_labels_before_stacks);
	tcase_add_test(tc, other_stacks_may_be_added_by_name);
	tcase_add_test(tc, whatever_the_memory_totals_are_true);
	tcase_add_test(tc, a_released_table_is_empty_and_usable);
	tcase_add_test(tc, every_pseudo_frame_has_a_name_of_its_own);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
