#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/heap_text.h"
#include "proto/legacy_text.h"
#include "sampler/base/cc.h"

static const char *const golden = "heap profile: 7: 4368 [120: 90001] @ heapprofile\n"
				  "2: 4096 [100: 80000] @ 0x401001 0x402001\n"
				  "#\t0x401000\tgrow\t/src/list.c:17\n"
				  "#\t0x402000\tread_all\t/src/main.c:41\n"
				  "#\t0x402000\tmain\t/src/main.c:9\n"
				  "\n"
				  "5: 272 [10: 1] @ 0x403001\n"
				  "#\t0x403000\tstd::vector<int>::push_back(int const&)\n"
				  "\n"
				  "0: 0 [10: 10000] @ 0x403001\n"
				  "#\t0x403000\tstd::vector<int>::push_back(int const&)\n"
				  "#\t0x1\t[truncated]\n"
				  "\n"
				  "\n"
				  "MAPPED_LIBRARIES:\n";

static const struct message_function functions[] = {
	{ "grow", "grow", "/src/list.c", 0 },
	{ "read_all", "read_all", "/src/main.c", 0 },
	{ "main", "main", "/src/main.c", 0 },
	{ "std::vector<int>::push_back(int const&)", "_ZN...", "", 0 },
	{ "[truncated]", "[truncated]", "", 0 },
};

static const struct message_line in_grow = { 0, 17 }, in_main[] = { { 1, 41 }, { 2, 9 } },
				 in_push = { 3, 0 }, in_truncated = { 4, 0 };

static const struct message_location locations[] = {
	{ 0, 0x401000, &in_grow, 1 },
	{ 0, 0x402000, in_main, 2 },
	{ 0, 0x403000, &in_push, 1 },
	{ MESSAGE_NONE, 1, &in_truncated, 1 },
};

/* Not in order: the text is. */
static const struct message_sample samples[] = {
	{ .location = (const uint32_t[]){ 2, 3 },
	  .location_count = 2,
	  .value = { 10, 10000, 0, 0 } },
	{ .location = (const uint32_t[]){ 0, 1 },
	  .location_count = 2,
	  .value = { 100, 80000, 2, 4096 } },
	{ .location = (const uint32_t[]){ 2 }, .location_count = 1, .value = { 10, 1, 5, 272 } },
};

static const struct message whole = {
	.sample_type_count = 4,
	.function = functions,
	.function_count = ARRAY_SIZE(functions),
	.location = locations,
	.location_count = ARRAY_SIZE(locations),
	.sample = samples,
	.sample_count = ARRAY_SIZE(samples),
};

static struct arena arena = ARENA_INIT(128 << 20);

static const char *text_of(const struct message *m)
{
	struct bytes out;

	ck_assert_int_eq(heap_text(&arena, m, &out), 0);
	ck_assert_uint_eq(strlen((const char *)out.at), out.len);
	return (const char *)out.at;
}

START_TEST(a_profile_reads_like_this_largest_in_use_first)
{
	char *start = strndup(text_of(&whole), strlen(golden));

	ck_assert_str_eq(start, golden);
	free(start);
}
END_TEST

/* Tools find in the memory map what is at the address. */
START_TEST(a_stack_of_nothing_real_has_an_address_of_code)
{
	const struct message_sample nothing = { .location = (const uint32_t[]){ 3 },
						.location_count = 1 };
	struct message m = whole;
	unsigned long at;

	m.sample = &nothing;
	m.sample_count = 1;
	ck_assert_int_eq(sscanf(text_of(&m),
				"heap profile: 0: 0 [0: 0] @ heapprofile\n0: 0 [0: 0] @ %lx", &at),
			 1);
	ck_assert_uint_eq(at - 1, (unsigned long)profiler_knows_no_stack);
}
END_TEST

START_TEST(the_memory_map_follows_whole)
{
	const char *maps = strstr(text_of(&whole), "MAPPED_LIBRARIES:\n");
	size_t lines = 0;

	ck_assert_ptr_nonnull(maps);
	ck_assert_ptr_nonnull(strstr(maps, " r-xp "));
	ck_assert_ptr_nonnull(strstr(maps, "/unit/proto/test_heap_text\n"));
	ck_assert_ptr_nonnull(strstr(maps, "libc.so.6\n"));
	for (const char *p = maps; (p = strchr(p, '\n')); p++)
		lines++;
	ck_assert_uint_gt(lines, 10);
	ck_assert_int_eq(maps[strlen(maps) - 1], '\n');
}
END_TEST

START_TEST(a_profile_without_samples_has_its_header_and_the_map)
{
	struct message m = whole;
	const char *empty = "heap profile: 0: 0 [0: 0] @ heapprofile\n\nMAPPED_LIBRARIES:\n";

	m.sample_count = 0;
	ck_assert(strncmp(text_of(&m), empty, strlen(empty)) == 0);
}
END_TEST

#define MANY 15000

static struct message many_samples(void)
{
	static struct message_sample s[MANY];
	struct message m = whole;

	for (int i = 0; i < MANY; i++) {
		s[i] = samples[1];
		s[i].value[3] = (int64_t)i * 7919 % MANY;
	}
	m.sample = s;
	m.sample_count = MANY;
	return m;
}

START_TEST(fifteen_thousand_stacks_are_all_there_in_order)
{
	struct message m = many_samples();
	const char *p = text_of(&m);
	long before = MANY, count = 0, bytes;

	p = strchr(p, '\n') + 1;
	while (sscanf(p, "2: %ld [", &bytes) == 1) {
		ck_assert_int_le(bytes, before);
		before = bytes;
		count++;
		p = strstr(p, "\n\n") + 2;
	}
	ck_assert_int_eq(count, MANY);
	ck_assert_ptr_nonnull(strstr(p, "MAPPED_LIBRARIES:"));
}
END_TEST

START_TEST(without_memory_there_is_no_text)
{
	struct arena none = ARENA_INIT(0);
	struct bytes out;

	ck_assert_int_eq(heap_text(&none, &whole, &out), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("heap_text");
	TCase *tc = tcase_create("heap_text");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, a_profile_reads_like_this_largest_in_use_first);
	tcase_add_test(tc, a_stack_of_nothing_real_has_an_address_of_code);
	tcase_add_test(tc, the_memory_map_follows_whole);
	tcase_add_test(tc, a_profile_without_samples_has_its_header_and_the_map);
	tcase_add_test(tc, fifteen_thousand_stacks_are_all_there_in_order);
	tcase_add_test(tc, without_memory_there_is_no_text);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
