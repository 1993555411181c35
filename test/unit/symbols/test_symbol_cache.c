/*
 * What was read from debug information is remembered, and nothing else is.
 *
 * The module is a copy of this program, stripped, with its debug file beside it:
 * whether files were read shows when they are gone.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/symbols/elf.h"
#include "sampler/symbols/symbol_cache.h"
#include "sampler/symbols/symbols.h"
#include "test/unit/symbols/own_module.h"

#define SECOND 1000000000LL

static struct arena arena;
static struct module copy;
static char folder[] = "/tmp/test_symbol_cache_XXXXXX";

static __attribute__((noinline)) int known_function(int x)
{
	return x * 3 + getpid();
}

static void run(const char *command)
{
	ck_assert_int_eq(system(command), 0);
}

static void read_build_id(struct module *m)
{
	static uint8_t id[BUILD_ID_MAX];
	struct elf e;

	m->build_id = id;
	ck_assert(elf_open(&e, &arena, "/proc/self/exe"));
	m->build_id_len = (uint8_t)elf_build_id(&e, m->build_id);
	elf_close(&e);
}

static void setup(void)
{
	static char path[256];
	char command[256];

	arena = (struct arena)ARENA_INIT(64 << 20);
	ck_assert_ptr_nonnull(mkdtemp(strcpy(folder, "/tmp/test_symbol_cache_XXXXXX")));
	ck_assert_int_eq(chdir(folder), 0);
	snprintf(command, sizeof(command),
		 "cp /proc/%d/exe whole && objcopy --only-keep-debug whole split.debug &&"
		 " objcopy -S --add-gnu-debuglink=split.debug whole split",
		 getpid());
	run(command);
	copy = module_of((void *)known_function);
	copy.is_main = false;
	snprintf(path, sizeof(path), "%s/split", folder);
	copy.path = path;
	copy.number = 7;
	read_build_id(&copy);
	ck_assert_msg(copy.build_id_len, "the linker gives build ids");
}

/* Asked at 0, and a minute later. */
static void forget(void)
{
	symbol_cache_do_due(0);
	symbol_cache_do_due(SYMBOL_CACHE_NS);
}

static void teardown(void)
{
	forget();
	arena_release(&arena);
	run("rm -f whole split split.debug hidden small small.xz noise");
	rmdir(folder);
}

static struct symbol look_up(uint64_t pc, int64_t deadline_ns)
{
	struct symbol s;

	ck_assert_int_eq(symbols_resolve(&arena, &copy, &pc, 1, SYMBOLS_LINES, deadline_ns, &s), 0);
	return s;
}

static struct symbol look_up_known(void)
{
	return look_up((uint64_t)known_function, sys_now_ns() + 10 * SECOND);
}

static bool has_line(const struct symbol *s)
{
	return s->frame[0].line && strstr(s->frame[0].file, "test_symbol_cache.c");
}

START_TEST(test_symbol_cache__what_was_read_is_not_read_again)
{
	struct symbol first = look_up_known(), second;

	ck_assert(has_line(&first));
	run("rm split split.debug");
	second = look_up_known();
	ck_assert_uint_eq(second.frame_count, first.frame_count);
	ck_assert_str_eq(second.frame[0].name, "known_function");
	ck_assert_str_eq(second.frame[0].system_name, first.frame[0].system_name);
	ck_assert_str_eq(second.frame[0].file, first.frame[0].file);
	ck_assert_uint_eq(second.frame[0].line, first.frame[0].line);
	ck_assert_uint_eq(second.frame[0].start_line, first.frame[0].start_line);
}
END_TEST

START_TEST(test_symbol_cache__known_and_new_addresses_keep_their_places)
{
	uint64_t pc[64];
	struct symbol cold[64], warm[64];

	for (size_t i = 0; i < 64; i++)
		pc[i] = (uint64_t)known_function + i;
	for (size_t i = 0; i < 64; i += 3)
		look_up(pc[i], sys_now_ns() + 10 * SECOND);
	ck_assert_int_eq(symbols_resolve(&arena, &copy, pc, 64, SYMBOLS_LINES,
					 sys_now_ns() + 10 * SECOND, warm),
			 0);
	forget();
	ck_assert_int_eq(symbols_resolve(&arena, &copy, pc, 64, SYMBOLS_LINES,
					 sys_now_ns() + 10 * SECOND, cold),
			 0);
	for (size_t i = 0; i < 64; i++) {
		ck_assert_str_eq(warm[i].frame[0].name, cold[i].frame[0].name);
		ck_assert_uint_eq(warm[i].frame[0].line, cold[i].frame[0].line);
	}
}
END_TEST

START_TEST(test_symbol_cache__what_was_cut_is_tried_again)
{
	struct symbol s = look_up((uint64_t)known_function, 0);

	ck_assert(!has_line(&s));
	s = look_up_known();
	ck_assert(has_line(&s));
}
END_TEST

START_TEST(test_symbol_cache__a_debug_file_that_comes_later_is_seen)
{
	struct symbol s;

	run("mv split.debug hidden");
	s = look_up_known();
	ck_assert(!has_line(&s));
	run("mv hidden split.debug");
	s = look_up_known();
	ck_assert(has_line(&s));
}
END_TEST

START_TEST(test_symbol_cache__another_build_is_another_module)
{
	struct symbol s = look_up_known();

	ck_assert(has_line(&s));
	copy.build_id[0] ^= 1;
	copy.number++;
	s = look_up_known(); /* the file is not the module's any more */
	ck_assert(!has_line(&s));
}
END_TEST

START_TEST(test_symbol_cache__without_a_build_id_nothing_is_remembered)
{
	struct symbol s;

	copy.build_id_len = 0;
	s = look_up_known();
	ck_assert(has_line(&s));
	run("rm split split.debug");
	s = look_up_known();
	ck_assert(!has_line(&s));
}
END_TEST

START_TEST(test_symbol_cache__memory_goes_back_a_minute_after_the_last_question)
{
	size_t before;
	int64_t due;

	arena_release(&arena);
	before = sys_mapped_bytes();
	look_up_known();
	arena_release(&arena);
	ck_assert_uint_gt(sys_mapped_bytes(), before);
	due = symbol_cache_do_due(SECOND);
	ck_assert_int_eq(due, 61 * SECOND);
	look_up_known();
	arena_release(&arena);
	due = symbol_cache_do_due(due);
	ck_assert_int_eq(due, 121 * SECOND);
	ck_assert_int_eq(symbol_cache_do_due(due - 1), due);
	ck_assert_int_eq(symbol_cache_do_due(due), INT64_MAX);
	ck_assert_uint_eq(sys_mapped_bytes(), before);
	ck_assert_int_eq(symbol_cache_do_due(due), INT64_MAX);
}
END_TEST

/* What find-debuginfo leaves in stripped programs, and afterwards noise in its place. */
static bool make_mini(void)
{
	return system("objcopy -S --remove-section .comment --keep-symbol=known_function"
		      " split.debug small && xz -k small 2>/dev/null &&"
		      " objcopy --remove-section .gnu_debuglink"
		      " --add-section .gnu_debugdata=small.xz split") == 0;
}

static void damage_mini(void)
{
	run("head -c $(stat -c %s small.xz) /dev/zero > noise &&"
	    " objcopy --update-section .gnu_debugdata=noise split");
}

START_TEST(test_symbol_cache__a_packed_symbol_table_is_not_unpacked_again)
{
	uint64_t refused = counter_get(COUNTER_SYMBOL_TABLES_REFUSED);
	struct symbol s;

	if (!make_mini())
		return;
	s = look_up_known();
	ck_assert_str_eq(s.frame[0].name, "known_function");
	damage_mini();
	s = look_up_known();
	ck_assert_str_eq(s.frame[0].name, "known_function");
	ck_assert_uint_eq(counter_get(COUNTER_SYMBOL_TABLES_REFUSED), refused);
	look_up((uint64_t)look_up_known, sys_now_ns() + 10 * SECOND);
	ck_assert_uint_eq(counter_get(COUNTER_SYMBOL_TABLES_REFUSED), refused + 1);
}
END_TEST

START_TEST(test_symbol_cache__a_debug_file_is_better_than_a_packed_table)
{
	struct symbol s;

	if (!make_mini())
		return;
	s = look_up_known();
	ck_assert_uint_eq(s.frame[0].line, 0);
	run("objcopy --add-gnu-debuglink=split.debug split");
	s = look_up_known();
	ck_assert(has_line(&s));
}
END_TEST

static bool is_found(uint64_t addr, struct symbol *s)
{
	struct arena table = ARENA_INIT(1 << 20);
	struct intern strings = INTERN_INIT(&arena, &table);
	bool found = symbol_cache_find(&copy, addr, SYMBOL_OF_DEBUG_FILE, &arena, &strings, s);

	arena_release(&table);
	return found;
}

/* Each with a name of its own, so that the memory is full several times. */
START_TEST(test_symbol_cache__when_it_is_full_it_begins_anew)
{
	size_t before = sys_mapped_bytes(), found = 0;
	uint64_t last = 200000;
	struct symbol s;

	for (uint64_t addr = 1; addr <= last; addr++) {
		char name[64];
		struct symbol_frame f = {
			.name = name, .system_name = name, .file = "/f", .line = (uint32_t)addr
		};

		snprintf(name, sizeof(name), "function_with_a_long_name_and_number_%lu", addr);
		symbol_cache_add(&copy, addr, SYMBOL_OF_DEBUG_FILE, &(struct symbol){ &f, 1 });
		ck_assert_uint_le(sys_mapped_bytes(), before + SYMBOL_CACHE_BYTES);
	}
	for (uint64_t addr = last - 100; addr <= last; addr++)
		if (is_found(addr, &s)) {
			ck_assert_uint_eq(s.frame[0].line, addr);
			found++;
		}
	ck_assert_uint_gt(found, 0);
	ck_assert(!is_found(1, &s));
}
END_TEST

START_TEST(test_symbol_cache__a_child_begins_with_nothing)
{
	struct symbol s;
	uint64_t addr = (uint64_t)known_function - copy.bias;

	look_up_known();
	ck_assert(is_found(addr, &s));
	symbol_cache_after_fork();
	ck_assert(!is_found(addr, &s));
	look_up_known();
	ck_assert(is_found(addr, &s));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("symbol_cache");
	TCase *t = tcase_create("symbol_cache");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_symbol_cache__what_was_read_is_not_read_again);
	tcase_add_test(t, test_symbol_cache__known_and_new_addresses_keep_their_places);
	tcase_add_test(t, test_symbol_cache__what_was_cut_is_tried_again);
	tcase_add_test(t, test_symbol_cache__a_debug_file_that_comes_later_is_seen);
	tcase_add_test(t, test_symbol_cache__another_build_is_another_module);
	tcase_add_test(t, test_symbol_cache__without_a_build_id_nothing_is_remembered);
	tcase_add_test(t, test_symbol_cache__memory_goes_back_a_minute_after_the_last_question);
	tcase_add_test(t, test_symbol_cache__when_it_is_full_it_begins_anew);
	tcase_add_test(t, test_symbol_cache__a_packed_symbol_table_is_not_unpacked_again);
	tcase_add_test(t, test_symbol_cache__a_debug_file_is_better_than_a_packed_table);
	tcase_add_test(t, test_symbol_cache__a_child_begins_with_nothing);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
