/*
 * The index of a package of split debug information, put together by hand: honest ones of
 * both kinds, and those that lead nowhere or nowhere good.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/symbols/dwarf_package.h"

#define SLOTS	8
#define UNITS	2
#define COLUMNS 3

/* As it lies in the file. */
struct index {
	uint32_t version, columns, units, slots;
	uint64_t id[SLOTS];
	uint32_t row[SLOTS];
	uint32_t column[COLUMNS];
	uint32_t offset[UNITS][COLUMNS];
	uint32_t size[UNITS][COLUMNS];
} __attribute__((packed));

static struct index ix;
static struct dwarf_package p;
static struct dwarf_section found[DWARF_SECTIONS];
static const struct elf_reader no_file = { .fd = -1 };
static uint8_t bytes[100];

static struct dwarf_section section_of(const void *at, size_t size)
{
	return (struct dwarf_section){ .in = &no_file, .size = size, .bytes = at };
}

static void setup(void)
{
	ix = (struct index){ .version = 5,
			     .columns = COLUMNS,
			     .units = UNITS,
			     .slots = SLOTS,
			     .column = { 1, 4, 6 }, /* units, lines, offsets of texts */
			     .offset = { { 0, 0, 8 }, { 40, 0, 60 } },
			     .size = { { 40, 0, 52 }, { 60, 0, 40 } } };
	p = (struct dwarf_package){
		.is_open = true, .columns = COLUMNS, .units = UNITS, .slots = SLOTS
	};
	p.index = section_of(&ix, sizeof(ix));
	p.section[DWARF_INFO] = p.section[DWARF_STR_OFFSETS] = section_of(bytes, sizeof(bytes));
	p.section[DWARF_STR] = section_of(bytes, sizeof(bytes));
}

static void put(uint32_t slot, uint64_t id, uint32_t row)
{
	ix.id[slot] = id;
	ix.row[slot] = row;
}

START_TEST(test_package__a_unit_has_its_part_of_each_section)
{
	put(3, 0x500000003, 2);
	ck_assert(dwarf_package_find(&p, 0x500000003, found));
	ck_assert_ptr_eq(found[DWARF_INFO].bytes, bytes + 40);
	ck_assert_uint_eq(found[DWARF_INFO].size, 60);
	ck_assert_ptr_eq(found[DWARF_STR_OFFSETS].bytes, bytes + 60);
	ck_assert_uint_eq(found[DWARF_STR].size, sizeof(bytes));
}
END_TEST

START_TEST(test_package__who_finds_a_slot_taken_goes_on)
{
	put(3, 0x500000003, 2);
	put((3 + 7) % SLOTS, 0x600000003, 1);
	ck_assert(dwarf_package_find(&p, 0x600000003, found));
	ck_assert_uint_eq(found[DWARF_INFO].size, 40);
	ck_assert(!dwarf_package_find(&p, 0x700000003, found));
}
END_TEST

START_TEST(test_package__a_full_table_ends)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		put(i, 1000 + i, 1);
	ck_assert(!dwarf_package_find(&p, 5, found));
}
END_TEST

START_TEST(test_package__what_is_not_in_the_section_is_refused)
{
	put(1, 1, 1);
	ix.size[0][0] = 101;
	ck_assert(!dwarf_package_find(&p, 1, found));
	ix.size[0][0] = 40;
	ix.offset[0][2] = UINT32_MAX;
	ck_assert(!dwarf_package_find(&p, 1, found));
}
END_TEST

START_TEST(test_package__rows_beyond_the_table_are_refused)
{
	put(1, 1, UNITS + 1);
	ck_assert(!dwarf_package_find(&p, 1, found));
	put(1, 1, UINT32_MAX);
	ck_assert(!dwarf_package_find(&p, 1, found));
}
END_TEST

START_TEST(test_package__an_index_that_is_cut_off_finds_nothing)
{
	put(1, 1, 1);
	for (p.index.size = 0; p.index.size < sizeof(ix) - 4 * COLUMNS; p.index.size++)
		ck_assert(!dwarf_package_find(&p, 1, found));
}
END_TEST

START_TEST(test_package__one_that_is_not_open_has_nothing)
{
	put(1, 1, 1);
	p.is_open = false;
	ck_assert(!dwarf_package_find(&p, 1, found));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dwarf_package");
	TCase *t = tcase_create("package");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, test_package__a_unit_has_its_part_of_each_section);
	tcase_add_test(t, test_package__who_finds_a_slot_taken_goes_on);
	tcase_add_test(t, test_package__a_full_table_ends);
	tcase_add_test(t, test_package__what_is_not_in_the_section_is_refused);
	tcase_add_test(t, test_package__rows_beyond_the_table_are_refused);
	tcase_add_test(t, test_package__an_index_that_is_cut_off_finds_nothing);
	tcase_add_test(t, test_package__one_that_is_not_open_has_nothing);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
