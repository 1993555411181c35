/* The texts that every profile can be asked for: a list with a tree, and collapsed stacks. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/format.h"
#include "sampler/base/cc.h"

static const struct message_function functions[] = {
	{ "main", "main", "/src/main.c", 0 },	     { "work", "work", "/src/work.c", 0 },
	{ "work", "work.part.0", "/src/work.c", 0 }, /* the same name */
	{ "[libx.so]", "[libx.so]", "", 0 },	     { "a;b\nc", "a;b\nc", "", 0 },
	{ "[unsampled]", "[unsampled]", "", 0 },     { "inlined", "inlined", "", 0 },
};

static const struct message_line in_main = { 0, 1 }, in_work[] = { { 6, 1 }, { 1, 2 } },
				 in_part = { 2, 3 }, in_x = { 3, 0 }, in_odd = { 4, 0 },
				 in_none = { 5, 0 };

static const struct message_location locations[] = {
	{ 0, 0x1000, &in_main, 1 }, { 0, 0x2000, in_work, 2 }, { 0, 0x3000, &in_part, 1 },
	{ 1, 0x4000, &in_x, 1 },    { 1, 0x4100, &in_x, 1 },   { 0, 0x5000, &in_odd, 1 },
	{ 2, 3, &in_none, 1 },
};

#define STACK(...)                                                                                 \
	.location = (const uint32_t[]){ __VA_ARGS__ },                                             \
	.location_count = sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)

static const struct message_sample samples[] = {
	{ STACK(1, 0), .value = { 1, 3000000 } },
	{ STACK(2, 1, 0), .value = { 2, 5000000 } }, /* recursive by name */
	{ STACK(3, 4, 3, 0), .value = { 1, 1990000000 } },
	{ STACK(5, 0), .value = { 0, 0 } },
	{ STACK(5), .value = { 1, 1000000 } },
	{ STACK(6), .value = { 0, 1000000 } },
};

static const char *const comments[] = { "a sentence" };

static const struct message_mapping mapping = { .file = "/bin/prog", .build_id = "" };

static const struct message whole = {
	.sample_type = { { "samples", "count" }, { "cpu", "nanoseconds" } },
	.sample_type_count = 2,
	.default_sample_type = "",
	.duration_ns = 2500000000,
	.mapping = &mapping,
	.mapping_count = 1,
	.function = functions,
	.function_count = ARRAY_SIZE(functions),
	.location = locations,
	.location_count = ARRAY_SIZE(locations),
	.sample = samples,
	.sample_count = ARRAY_SIZE(samples),
	.comment = comments,
	.comment_count = 1,
};

static struct arena arena = ARENA_INIT(8 << 20);

static void expect(const struct message *m, enum format format, int value, const char *golden)
{
	struct bytes out;
	char *text;

	ck_assert_int_eq(format_write(&arena, m, format, value, &out), 0);
	text = strndup((const char *)out.at, out.len);
	ck_assert_str_eq(text, golden);
	free(text);
	arena_release(&arena);
}

START_TEST(test_collapsed__is_a_line_for_each_stack)
{
	expect(&whole, FORMAT_COLLAPSED, FORMAT_DEFAULT_VALUE,
	       "main;work;inlined 3000000\n"
	       "main;work;inlined;work 5000000\n"
	       "main;[libx.so] 1990000000\n"
	       "a:b:c 1000000\n"
	       "[unsampled] 1000000\n");
}
END_TEST

START_TEST(test_collapsed__of_another_value)
{
	expect(&whole, FORMAT_COLLAPSED, 0,
	       "main;work;inlined 1\n"
	       "main;work;inlined;work 2\n"
	       "main;[libx.so] 1\n"
	       "a:b:c 1\n");
}
END_TEST

START_TEST(test_text__has_head_list_and_tree)
{
	expect(&whole, FORMAT_TEXT, FORMAT_DEFAULT_VALUE,
	       "Program: /bin/prog\n"
	       "Type: cpu\n"
	       "Duration: 2.50s\n"
	       "Total: 2.00s (2000000000 nanoseconds) in 5 stacks\n"
	       "# a sentence\n"
	       "# [unsampled] 1.00ms, 0.05%\n"
	       "\n"
	       "       flat    flat%        cum     cum%  function\n"
	       "      1.99s   99.50%      1.99s   99.50%  [libx.so]\n"
	       "     5.00ms    0.25%     8.00ms    0.40%  work\n"
	       "     3.00ms    0.15%     8.00ms    0.40%  inlined\n"
	       "     1.00ms    0.05%     1.00ms    0.05%  [unsampled]\n"
	       "     1.00ms    0.05%     1.00ms    0.05%  a;b\nc\n"
	       "        0ns    0.00%      2.00s   99.90%  main\n"
	       "\n"
	       "Tree of calls, what is less than 0.5% of all left out\n"
	       "      2.00s  100.00%  all\n"
	       "      2.00s   99.90%    main\n"
	       "      1.99s   99.50%      [libx.so]\n");
}
END_TEST

/* Nothing is missing where a handler of the program returns. */
START_TEST(test_text__a_handler_is_no_loss)
{
	struct message_function named[ARRAY_SIZE(functions)];
	struct message m = whole;
	struct bytes out;
	char *text;

	memcpy(named, functions, sizeof(named));
	named[0].name = "[signal handler]";
	m.function = named;
	ck_assert_int_eq(format_write(&arena, &m, FORMAT_TEXT, FORMAT_DEFAULT_VALUE, &out), 0);
	text = strndup((const char *)out.at, out.len);
	ck_assert_ptr_nonnull(strstr(text, "2.00s   99.90%  [signal handler]\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n# [unsampled] "));
	ck_assert_ptr_null(strstr(text, "\n# [signal"));
	free(text);
	arena_release(&arena);
}
END_TEST

START_TEST(test_text__of_a_difference_has_signs)
{
	const struct message_sample change[] = {
		{ STACK(1, 0), .value = { 3, -3072 } },
		{ STACK(2, 0), .value = { -1, 1024 } },
	};
	struct message m = whole;

	m.sample = change;
	m.sample_count = 2;
	m.comment_count = 0;
	m.duration_ns = 0;
	m.sample_type[1] = (struct message_value_type){ "inuse_space", "bytes" };
	expect(&m, FORMAT_TEXT, FORMAT_DEFAULT_VALUE,
	       "Program: /bin/prog\n"
	       "Type: inuse_space\n"
	       "Total: -2.00KiB (-2048 bytes) in 2 stacks\n"
	       "\n"
	       "       flat    flat%        cum     cum%  function\n"
	       "   -3.00KiB  -75.00%   -3.00KiB  -75.00%  inlined\n"
	       "    1.00KiB   25.00%   -2.00KiB  -50.00%  work\n"
	       "         0B    0.00%   -2.00KiB  -50.00%  main\n"
	       "\n"
	       "Tree of calls, what is less than 0.5% of all left out\n"
	       "   -2.00KiB  -50.00%  all\n"
	       "   -2.00KiB  -50.00%    main\n"
	       "   -2.00KiB  -50.00%      work\n"
	       "   -3.00KiB  -75.00%        inlined\n");
}
END_TEST

START_TEST(test_format__knows_its_sample_types)
{
	static const struct profile_head head = {
		.sample_type = { { "alloc_space", "bytes" }, { "inuse_space", "bytes" } },
		.sample_type_count = 2,
	};

	ck_assert_int_eq(format_value(&head, "inuse_space"), 1);
	ck_assert_int_eq(format_value(&head, ""), FORMAT_DEFAULT_VALUE);
	ck_assert_int_eq(format_value(&head, "inuse"), MESSAGE_VALUES_MAX);
}
END_TEST

START_TEST(test_format__default_is_the_profiles_own)
{
	struct message m = whole;

	m.default_sample_type = "samples";
	m.sample_count = 1;
	expect(&m, FORMAT_COLLAPSED, FORMAT_DEFAULT_VALUE, "main;work;inlined 1\n");
}
END_TEST

/* Longer than the first room that is taken. */
START_TEST(test_format__grows)
{
	static struct message_sample many[20000];
	struct message m = whole;
	struct bytes out;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = samples[0];
	m.sample = many;
	m.sample_count = ARRAY_SIZE(many);
	ck_assert_int_eq(format_write(&arena, &m, FORMAT_COLLAPSED, 1, &out), 0);
	ck_assert_uint_eq(out.len, ARRAY_SIZE(many) * strlen("main;work;inlined 3000000\n"));
	arena_release(&arena);
}
END_TEST

/* Deep stacks that differ at their leaves only, in no order: the time stays that of n log n. */
START_TEST(test_format__sorts_many_deep_stacks)
{
	enum { MANY = 15000, DEEP = 200, LEAVES = 1000 };
	static struct message_function function[LEAVES];
	static struct message_line line[LEAVES];
	static struct message_location location[LEAVES];
	static struct message_sample many[MANY];
	static uint32_t stack[MANY][DEEP];
	static char name[LEAVES][16];
	struct message m = whole;
	struct bytes out;

	for (uint32_t i = 0; i < LEAVES; i++) {
		snprintf(name[i], sizeof(name[i]), "f%u", i);
		function[i] = (struct message_function){ name[i], name[i], "", 0 };
		line[i].function = i;
		location[i] = (struct message_location){ 0, 0x1000 + i, &line[i], 1 };
	}
	for (uint32_t i = 0; i < MANY; i++) {
		stack[i][0] = i * 7919 % LEAVES;
		many[i] = (struct message_sample){ .location = stack[i],
						   .location_count = DEEP,
						   .value = { 1, 1 } };
	}
	m.function = function;
	m.function_count = m.location_count = LEAVES;
	m.location = location;
	m.sample = many;
	m.sample_count = MANY;
	arena.limit = 64 << 20;
	ck_assert_int_eq(format_write(&arena, &m, FORMAT_TEXT, 0, &out), 0);
	ck_assert_ptr_nonnull(memmem(out.at, out.len, "Total: 15000 (15000 count) in 15000", 30));
	arena_release(&arena);
}
END_TEST

START_TEST(test_format__without_memory_there_is_no_text)
{
	struct arena none = ARENA_INIT(0);
	struct bytes out;

	ck_assert_int_eq(format_write(&none, &whole, FORMAT_TEXT, 1, &out), -1);
	ck_assert_int_eq(format_write(&none, &whole, FORMAT_COLLAPSED, 1, &out), -1);
}
END_TEST

START_TEST(test_format__of_nothing)
{
	struct message m = whole;

	m.sample_count = 0;
	m.mapping_count = m.comment_count = m.function_count = 0;
	m.duration_ns = 0;
	expect(&m, FORMAT_COLLAPSED, 1, "");
	expect(&m, FORMAT_TEXT, 1,
	       "Program: \nType: cpu\nTotal: 0ns (0 nanoseconds) in 0 stacks\n\n"
	       "       flat    flat%        cum     cum%  function\n\n"
	       "Tree of calls, what is less than 0.5% of all left out\n"
	       "        0ns    0.00%  all\n");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("format");
	Suite *s = suite_create("format");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, test_collapsed__is_a_line_for_each_stack);
	tcase_add_test(t, test_collapsed__of_another_value);
	tcase_add_test(t, test_text__has_head_list_and_tree);
	tcase_add_test(t, test_text__a_handler_is_no_loss);
	tcase_add_test(t, test_text__of_a_difference_has_signs);
	tcase_add_test(t, test_format__knows_its_sample_types);
	tcase_add_test(t, test_format__default_is_the_profiles_own);
	tcase_add_test(t, test_format__grows);
	tcase_add_test(t, test_format__sorts_many_deep_stacks);
	tcase_add_test(t, test_format__without_memory_there_is_no_text);
	tcase_add_test(t, test_format__of_nothing);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
