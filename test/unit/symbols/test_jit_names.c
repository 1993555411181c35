/*
 * Names of code made at run time: which entry counts, and whose file is believed.  The
 * files lie where a runtime would put them, under our own process id.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/symbols/demangle.h"
#include "sampler/symbols/jit_index.h"
#include "sampler/symbols/jit_names.h"

static struct arena arena;
static char path[64], other[80];

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(32 << 20);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	snprintf(other, sizeof(other), "%s.other", path);
}

static void teardown(void)
{
	unlink(path);
	unlink(other);
	arena_release(&arena);
}

static void write_map(const char *at, const char *text)
{
	FILE *f = fopen(at, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

/* The name of an address; NULL when there is none. */
static const char *name_of(uint64_t pc)
{
	struct symbol_frame frame;

	jit_names_find(&arena, &pc, 1, &frame);
	return frame.name;
}

static uint64_t refused(void)
{
	return counter_get(COUNTER_JIT_NAMES_REFUSED);
}

START_TEST(test_jit_names__an_entry_names_its_addresses_and_no_others)
{
	const uint64_t pc[] = { 0x1fff, 0x2000, 0x20ff, 0x2100, 0x7fff00000010 };
	struct symbol_frame frame[ARRAY_SIZE(pc)];

	write_map(path,
		  "2000 100 first function\n0x7fff00000000 0x20 void Second::of(int, long)\n");
	jit_names_find(&arena, pc, ARRAY_SIZE(pc), frame);
	ck_assert_ptr_null(frame[0].name);
	ck_assert_str_eq(frame[1].name, "first function");
	ck_assert_str_eq(frame[2].name, "first function");
	ck_assert_ptr_null(frame[3].name);
	ck_assert_str_eq(frame[4].name, "void Second::of(int, long)");
	ck_assert_str_eq(frame[4].system_name, frame[4].name);
	ck_assert_str_eq(frame[4].file, "");
}
END_TEST

START_TEST(test_jit_names__the_last_entry_counts)
{
	write_map(path, "2000 100 old\n3000 10 elsewhere\n2080 10 young\n");
	ck_assert_str_eq(name_of(0x2000), "old");
	ck_assert_str_eq(name_of(0x2085), "young");
	write_map(path, "2000 100 old\n2080 10 young\n2000 100 youngest\n");
	ck_assert_str_eq(name_of(0x2085), "youngest");
}
END_TEST

START_TEST(test_jit_names__what_makes_no_sense_is_left_out)
{
	uint64_t before = refused();

	write_map(path, "\n \nx\n2000\n2000 100\n2000 100 \n2000  name\nffffffffffffffff ff wraps\n"
			"2000 0 empty\n-2000 100 minus\n2000 10 being writ");
	ck_assert_ptr_null(name_of(0x2005));
	ck_assert_uint_eq(refused(), before);
}
END_TEST

START_TEST(test_jit_names__a_name_is_valid_text_of_bounded_length)
{
	char *text = malloc(200000);

	sprintf(text, "2000 10 \xff\x01%0*d\n3000 10 behind\n", 5000, 7);
	write_map(path, text);
	ck_assert_uint_le(strlen(name_of(0x2000)), NAME_MAX_BYTES);
	ck_assert_int_eq(memcmp(name_of(0x2000), "\xef\xbf\xbd\xef\xbf\xbd", 6), 0);
	sprintf(text, "2000 10 %0*d\n3000 10 behind\n", 150000, 7); /* longer than a block */
	write_map(path, text);
	ck_assert_str_eq(name_of(0x3000), "behind");
	free(text);
}
END_TEST

START_TEST(test_jit_names__links_and_pipes_are_refused)
{
	uint64_t before = refused();

	write_map(other, "2000 100 of another\n");
	ck_assert_int_eq(symlink(other, path), 0);
	ck_assert_ptr_null(name_of(0x2000));
	unlink(path);
	ck_assert_int_eq(link(other, path), 0);
	ck_assert_ptr_null(name_of(0x2000));
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_ptr_null(name_of(0x2000));
	ck_assert_uint_eq(refused(), before + 3);
}
END_TEST

START_TEST(test_jit_names__another_users_file_is_refused)
{
	uint64_t before = refused();

	write_map(path, "2000 100 of another\n");
	ck_assert_str_eq(name_of(0x2000), "of another");
	if (chown(path, 12345, 12345) != 0)
		return; /* for root alone */
	ck_assert_ptr_null(name_of(0x2000));
	ck_assert_uint_eq(refused(), before + 1);
}
END_TEST

START_TEST(test_jit_names__no_file_is_no_loss)
{
	uint64_t before = refused();

	ck_assert_ptr_null(name_of(0x2000));
	ck_assert_uint_eq(refused(), before);
}
END_TEST

/* What a hostile map may cost: entries that all cover all addresses but one. */
START_TEST(test_jit_names__overlapping_entries_are_bounded)
{
	enum { COUNT = 4096, LINES = 40000 };
	uint64_t *pc = malloc(COUNT * sizeof(*pc)), before = refused();
	struct symbol_frame *frame = malloc(COUNT * sizeof(*frame));
	FILE *f = fopen(path, "w");

	for (uint64_t i = 0; i < COUNT; i++)
		pc[i] = 0x2000 + i;
	pc[COUNT - 1] = 0x10000;
	for (int i = 0; i < LINES; i++)
		fprintf(f, "2000 1000 %0200d\n", i);
	fclose(f);
	jit_names_find(&arena, pc, COUNT, frame);
	ck_assert_uint_eq(refused(), before + 1);
	ck_assert_ptr_nonnull(frame[0].name);
	ck_assert_uint_le(arena.mapped, 16 << 20);
	free(frame);
	free(pc);
}
END_TEST

static void append(const char *text)
{
	FILE *f = fopen(path, "a");

	fputs(text, f);
	fclose(f);
}

/* Scrapers ask every few seconds. */
START_TEST(test_jit_names__what_came_since_is_added_to_what_is_known)
{
	write_map(path, "2000 100 first\n3000 100 second\n4000 10 ha");
	ck_assert_str_eq(name_of(0x2000), "first");
	ck_assert_ptr_null(name_of(0x4000));
	append("lf\n2000 100 third\n");
	ck_assert_str_eq(name_of(0x4000), "half");
	ck_assert_str_eq(name_of(0x2000), "third");
	ck_assert_str_eq(name_of(0x3000), "second");
}
END_TEST

/* Java writes its map anew each time that it is asked for it. */
START_TEST(test_jit_names__a_map_that_was_written_anew_is_read_anew)
{
	write_map(path, "2000 100 first\n3000 100 second\n");
	ck_assert_str_eq(name_of(0x3000), "second");
	write_map(path, "2000 100 other\n5000 100 secund\n");
	ck_assert_str_eq(name_of(0x2000), "other");
	ck_assert_ptr_null(name_of(0x3000));
	write_map(path, "2000 100 anew, and longer than what was there before\n");
	ck_assert_ptr_null(name_of(0x5000));
	write_map(path, "2000 1 x\n");
	ck_assert_str_eq(name_of(0x2000), "x");
	unlink(path);
	ck_assert_ptr_null(name_of(0x2000));
	write_map(path, "2000 1 y\n");
	ck_assert_str_eq(name_of(0x2000), "y");
}
END_TEST

START_TEST(test_jit_names__what_is_kept_goes_when_nobody_asks)
{
	int64_t now = 1000;

	write_map(path, "2000 100 first\n");
	ck_assert_int_eq(jit_names_do_due(now), INT64_MAX);
	name_of(0x2000);
	ck_assert_int_eq(jit_names_do_due(now), now + JIT_NAMES_NS);
	ck_assert_int_eq(jit_names_do_due(now + JIT_NAMES_NS - 1), now + JIT_NAMES_NS);
	ck_assert_int_eq(jit_names_do_due(now + JIT_NAMES_NS), INT64_MAX);
	ck_assert_str_eq(name_of(0x2000), "first");
}
END_TEST

/* The oldest of too many are forgotten, and that is told. */
START_TEST(test_jit_names__more_entries_than_are_kept)
{
	uint64_t before = refused();
	FILE *f = fopen(path, "w");

	fputs("2000 10 oldest\n", f);
	for (int i = 0; i < JIT_ENTRIES_MAX; i++)
		fprintf(f, "%x 10 f%d\n", 0x100000 + 16 * i, i);
	fclose(f);
	ck_assert_str_eq(name_of(0x100000 + 16 * (JIT_ENTRIES_MAX - 1)), "f409599");
	ck_assert_ptr_null(name_of(0x2000));
	ck_assert_uint_gt(refused(), before);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("jit_names");
	TCase *t = tcase_create("jit_names");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_jit_names__an_entry_names_its_addresses_and_no_others);
	tcase_add_test(t, test_jit_names__the_last_entry_counts);
	tcase_add_test(t, test_jit_names__what_makes_no_sense_is_left_out);
	tcase_add_test(t, test_jit_names__a_name_is_valid_text_of_bounded_length);
	tcase_add_test(t, test_jit_names__links_and_pipes_are_refused);
	tcase_add_test(t, test_jit_names__another_users_file_is_refused);
	tcase_add_test(t, test_jit_names__no_file_is_no_loss);
	tcase_add_test(t, test_jit_names__what_came_since_is_added_to_what_is_known);
	tcase_add_test(t, test_jit_names__a_map_that_was_written_anew_is_read_anew);
	tcase_add_test(t, test_jit_names__what_is_kept_goes_when_nobody_asks);
	tcase_add_test(t, test_jit_names__more_entries_than_are_kept);
	tcase_add_test(t, test_jit_names__overlapping_entries_are_bounded);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
