/* The table of unwind rows: what is put in comes out, also while others read. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/unwind/rows.h"

#define FIRST_PC 0x7f0000400000UL

static void teardown(void)
{
	rows_release();
}

/* Key and row number `i`; the row can be told from every other one's. */
static uint64_t pc_number(uint64_t i)
{
	return FIRST_PC + i * 5;
}

static struct row row_for(uint64_t pc)
{
	int32_t n = (int32_t)(pc & 0x7ffffff);

	return (struct row){
		.kind = ROW_SP + n % 2, .bp_saved = n & 1, .cfa_offset = n, .bp_offset = -n
	};
}

static bool equal(struct row a, struct row b)
{
	return a.kind == b.kind && a.bp_saved == b.bp_saved && a.cfa_offset == b.cfa_offset &&
	       a.bp_offset == b.bp_offset;
}

static bool is_known(uint64_t pc)
{
	struct row row = rows_find(pc);

	ck_assert(row.kind == ROW_UNKNOWN || equal(row, row_for(pc)));
	return row.kind != ROW_UNKNOWN;
}

static void add_numbers(uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		rows_add(pc_number(i), row_for(pc_number(i)));
}

static uint64_t known_numbers(uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (uint64_t i = from; i < to; i++)
		n += is_known(pc_number(i));
	return n;
}

START_TEST(rows__an_empty_table_knows_nothing)
{
	ck_assert_uint_eq(rows_find(FIRST_PC).kind, ROW_UNKNOWN);
	ck_assert_uint_eq(rows_count(), 0);
	rows_forget(0, UINT64_MAX);
}
END_TEST

/* What one probe may find: within 256 MiB of the made-up registers. */
#define REACH ((1 << 28) - 1)

static const struct row extremes[] = {
	{ ROW_SP, false, 8, 0 },
	{ ROW_SP, true, REACH, -REACH },
	{ ROW_BP, true, -REACH, REACH },
	{ ROW_BP, true, -REACH - 1, -REACH - 1 },
	{ ROW_SP, true, -1, -1 },
	{ ROW_BP, false, REACH, 0 },
	{ ROW_END, false, 0, 0 },
	{ ROW_COMPLEX, false, 0, 0 },
	{ ROW_SIGNAL, false, 0, 0 },
	{ ROW_NONE, false, 0, 0 },
	{ ROW_SP, true, 1 << 27, 1 << 27 },
};

START_TEST(rows__every_row_comes_back_as_it_was_added)
{
	for (uint64_t i = 0; i < ARRAY_SIZE(extremes); i++)
		rows_add(pc_number(i), extremes[i]);
	for (uint64_t i = 0; i < ARRAY_SIZE(extremes); i++)
		ck_assert_msg(equal(rows_find(pc_number(i)), extremes[i]), "row %lu", i);
	ck_assert_uint_eq(rows_count(), ARRAY_SIZE(extremes));
}
END_TEST

START_TEST(rows__all_addresses_of_user_space_are_keys)
{
	static const uint64_t pcs[] = { 4096, 0x7fffffffffff, 0xffffffffffff };
	static const uint64_t none[] = { 0xffffffffff600000, 1UL << 48, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(pcs); i++) {
		rows_add(pcs[i], row_for(pcs[i]));
		rows_add(none[i], row_for(none[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(pcs); i++) {
		ck_assert(is_known(pcs[i]));
		ck_assert(!is_known(none[i]));
	}
}
END_TEST

START_TEST(rows__of_what_may_be_unloaded_tell_the_module)
{
	static const uint32_t numbers[] = { 0, 1, 7, 65534 };
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		rows_add_in(pc_number(i), numbers[i], row_for(pc_number(i)));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct row_found found = rows_find_in(pc_number(i));

		ck_assert(equal(found.row, row_for(pc_number(i))));
		ck_assert_uint_eq(found.number, numbers[i]);
	}
	rows_add_in(pc_number(1), 9, row_for(pc_number(1)));
	ck_assert_uint_eq(rows_find_in(pc_number(1)).number, 9);
	ck_assert_uint_eq(rows_count(), ARRAY_SIZE(numbers));
	rows_forget(pc_number(1), pc_number(2));
	ck_assert_int_eq(rows_find(pc_number(1)).kind, ROW_UNKNOWN);
	ck_assert_int_ne(rows_find(pc_number(2)).kind, ROW_UNKNOWN);
}
END_TEST

/* Against rows_add() without its first look: 2 are counted, and 0 is found. */
START_TEST(rows__a_call_through_null_takes_no_row)
{
	rows_add(0, row_for(FIRST_PC));
	rows_add(1, row_for(FIRST_PC));
	ck_assert_uint_eq(rows_count(), 0);
	ck_assert_uint_eq(rows_find(0).kind, ROW_UNKNOWN);
	ck_assert_uint_eq(rows_find(1).kind, ROW_UNKNOWN);
}
END_TEST

START_TEST(rows__adding_again_replaces)
{
	rows_add(FIRST_PC, row_for(1));
	rows_add(FIRST_PC, row_for(FIRST_PC));
	ck_assert(is_known(FIRST_PC));
	ck_assert_uint_eq(rows_count(), 1);
}
END_TEST

START_TEST(rows__forgotten_row_is_not_found)
{
	add_numbers(0, 100);
	rows_forget(pc_number(10), pc_number(20));
	ck_assert_uint_eq(known_numbers(10, 20), 0);
	ck_assert_uint_eq(known_numbers(0, 100), 90);
	ck_assert_uint_eq(rows_count(), 90);
}
END_TEST

START_TEST(rows__neighbours_of_a_forgotten_row_stay)
{
	rows_add(FIRST_PC - 1, row_for(FIRST_PC - 1));
	rows_add(FIRST_PC, row_for(FIRST_PC));
	rows_add(FIRST_PC + 1, row_for(FIRST_PC + 1));
	rows_forget(FIRST_PC, FIRST_PC + 1);
	ck_assert(is_known(FIRST_PC - 1));
	ck_assert(!is_known(FIRST_PC));
	ck_assert(is_known(FIRST_PC + 1));
}
END_TEST

/* So many that most of them collide with another. */
#define CROWD 55000

START_TEST(rows__that_collided_with_a_forgotten_one_are_still_found)
{
	uint64_t before, after;

	add_numbers(0, CROWD);
	before = known_numbers(CROWD / 2, CROWD);
	rows_forget(pc_number(0), pc_number(CROWD / 2));
	ck_assert_uint_eq(known_numbers(0, CROWD / 2), 0);
	after = known_numbers(CROWD / 2, CROWD);
	ck_assert_uint_eq(before, after);
	ck_assert_uint_eq(rows_count(), after);
}
END_TEST

START_TEST(rows__a_forgotten_slot_never_makes_a_second_copy)
{
	add_numbers(0, CROWD);
	rows_forget(pc_number(0), pc_number(CROWD / 2));
	add_numbers(CROWD / 2, CROWD);
	ck_assert_uint_eq(rows_count(), known_numbers(CROWD / 2, CROWD));
	rows_forget(0, UINT64_MAX);
	ck_assert_uint_eq(rows_count(), 0);
	ck_assert_uint_eq(known_numbers(0, CROWD), 0);
}
END_TEST

START_TEST(rows__a_full_table_counts_what_it_drops)
{
	uint64_t before = counter_get(COUNTER_ROWS_DROPPED_TABLE_FULL), dropped;
	uint64_t tried = ROWS_MAX + ROWS_MAX / 2;

	add_numbers(0, tried);
	dropped = counter_get(COUNTER_ROWS_DROPPED_TABLE_FULL) - before;
	ck_assert_uint_le(rows_count(), ROWS_MAX);
	ck_assert_uint_gt(rows_count(), ROWS_MAX * 9 / 10);
	ck_assert_uint_eq(rows_count() + dropped, tried);
	ck_assert_uint_eq(known_numbers(0, tried), rows_count());
}
END_TEST

START_TEST(rows__a_released_table_can_be_used_again)
{
	add_numbers(0, 10);
	rows_release();
	ck_assert_uint_eq(known_numbers(0, 10), 0);
	ck_assert_uint_eq(rows_count(), 0);
	add_numbers(0, 10);
	ck_assert_uint_eq(known_numbers(0, 10), 10);
}
END_TEST

/* ---- readers while one writes */

static struct {
	atomic_bool stop;
	atomic_uint_fast64_t found, wrong;
} reading;

/* Keys of which about half are in the table at any time. */
#define CHURN 4096

static void *read_all_the_time(void *arg)
{
	(void)arg;
	while (!atomic_load(&reading.stop)) {
		for (uint64_t i = 0; i < CHURN; i++) {
			uint64_t pc = pc_number(i);
			struct row row = rows_find(pc);

			if (row.kind == ROW_UNKNOWN)
				continue;
			atomic_fetch_add_explicit(&reading.found, 1, memory_order_relaxed);
			if (!equal(row, row_for(pc)))
				atomic_fetch_add(&reading.wrong, 1);
		}
	}
	return NULL;
}

START_TEST(rows__a_reader_never_pairs_a_key_with_the_row_of_another)
{
	pthread_t reader[2];

	add_numbers(CHURN, CROWD); /* long chains: few slots are left for many keys */
	for (size_t i = 0; i < ARRAY_SIZE(reader); i++)
		pthread_create(&reader[i], NULL, read_all_the_time, NULL);
	for (int round = 0; round < 60; round++) {
		add_numbers(0, CHURN);
		rows_forget(pc_number(0), pc_number(CHURN));
	}
	while (atomic_load(&reading.found) == 0)
		add_numbers(0, CHURN);
	atomic_store(&reading.stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(reader); i++)
		pthread_join(reader[i], NULL);
	ck_assert_uint_eq(reading.wrong, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("rows");
	Suite *s = suite_create("rows");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, rows__an_empty_table_knows_nothing);
	tcase_add_test(t, rows__every_row_comes_back_as_it_was_added);
	tcase_add_test(t, rows__all_addresses_of_user_space_are_keys);
	tcase_add_test(t, rows__of_what_may_be_unloaded_tell_the_module);
	tcase_add_test(t, rows__a_call_through_null_takes_no_row);
	tcase_add_test(t, rows__adding_again_replaces);
	tcase_add_test(t, rows__forgotten_row_is_not_found);
	tcase_add_test(t, rows__neighbours_of_a_forgotten_row_stay);
	tcase_add_test(t, rows__that_collided_with_a_forgotten_one_are_still_found);
	tcase_add_test(t, rows__a_forgotten_slot_never_makes_a_second_copy);
	tcase_add_test(t, rows__a_full_table_counts_what_it_drops);
	tcase_add_test(t, rows__a_released_table_can_be_used_again);
	tcase_add_test(t, rows__a_reader_never_pairs_a_key_with_the_row_of_another);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
