#include <stdio.h>
#include <stdlib.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "test/unit/proto/decode.h"

#define ROOMY (64UL << 20)

static struct arena arena = ARENA_INIT(ROOMY);

static void teardown(void)
{
	arena_release(&arena);
}

static const struct message_mapping mappings[] = {
	{ 0x400000, 0x500000, 0x1000, "/bin/server", "00ff", true, true, true, true },
	{ 0x7f0000000000, 0x7f0000100000, 0, "/lib/libc.so.6", "", true, false, false, false },
};

static const struct message_function functions[] = {
	{ "serve", "serve", "/src/serve.c", 10 },
	{ "ns::inlined", "_ZN2ns7inlinedEv", "/src/serve.c", 20 },
	{ "[truncated]", "[truncated]", "", 0 },
};

static const struct message_line lines[] = { { 1, 22 }, { 0, 12 }, { 2, 0 } };

static const struct message_location locations[] = {
	{ 0, 0x400123, &lines[0], 2 },
	{ 1, 0x7f0000000456, &lines[1], 1 },
	{ MESSAGE_NONE, 1, &lines[2], 1 },
};

static const uint32_t stacks[] = { 0, 1, 2 };

static const struct message_label labels[] = {
	{ "thread_name", "worker", 0, "" },
	{ "tid", NULL, 4711, "" },
	{ "bytes", NULL, -1, "bytes" },
};

static const struct message_sample samples[] = {
	{ &stacks[0], 3, 2, { 3, 30000000 }, &labels[0] },
	{ &stacks[1], 1, 1, { 0, -5 }, &labels[2] },
	{ &stacks[0], 0, 0, { 1, 2 }, NULL },
};

static const char *const comments[] = { "first", "second" };

static struct message golden(void)
{
	return (struct message){
		.sample_type = { { "samples", "count" }, { "cpu", "nanoseconds" } },
		.sample_type_count = 2,
		.default_sample_type = "cpu",
		.period_type = { "cpu", "nanoseconds" },
		.period = 10000000,
		.time_ns = 1700000000123456789,
		.duration_ns = 30000000001,
		.mapping = mappings,
		.mapping_count = ARRAY_SIZE(mappings),
		.function = functions,
		.function_count = ARRAY_SIZE(functions),
		.location = locations,
		.location_count = ARRAY_SIZE(locations),
		.sample = samples,
		.sample_count = ARRAY_SIZE(samples),
		.comment = comments,
		.comment_count = ARRAY_SIZE(comments),
	};
}

static struct decoded encoded(const struct message *m)
{
	struct bytes out;
	struct decoded d;

	ck_assert_int_eq(encode_message(&arena, m, &out), 0);
	d = decode_profile(out);
	assert_decoded_is_sound(&d);
	return d;
}

#define ASSERT_TEXT(index, text) ck_assert_str_eq(decoded_string(&d, index), text)

START_TEST(the_head_is_written)
{
	struct message m = golden();
	struct decoded d = encoded(&m);

	ck_assert_uint_eq(d.type_count, 2);
	ASSERT_TEXT(d.type[0].type, "samples");
	ASSERT_TEXT(d.type[0].unit, "count");
	ASSERT_TEXT(d.type[1].type, "cpu");
	ASSERT_TEXT(d.type[1].unit, "nanoseconds");
	ASSERT_TEXT(d.default_sample_type, "cpu");
	ASSERT_TEXT(d.period_type.type, "cpu");
	ASSERT_TEXT(d.period_type.unit, "nanoseconds");
	ck_assert_int_eq(d.period, 10000000);
	ck_assert_int_eq(d.time_ns, 1700000000123456789);
	ck_assert_int_eq(d.duration_ns, 30000000001);
	ck_assert_uint_eq(d.comment_count, 2);
	ASSERT_TEXT(d.comment[0], "first");
	ASSERT_TEXT(d.comment[1], "second");
}
END_TEST

START_TEST(mappings_are_written_with_their_flags)
{
	struct message m = golden();
	struct decoded d = encoded(&m);

	ck_assert_uint_eq(d.mapping_count, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(d.mapping[i].start, mappings[i].start);
		ck_assert_uint_eq(d.mapping[i].limit, mappings[i].limit);
		ck_assert_uint_eq(d.mapping[i].offset, mappings[i].offset);
		ASSERT_TEXT(d.mapping[i].file, mappings[i].file);
		ASSERT_TEXT(d.mapping[i].build_id, mappings[i].build_id);
		ck_assert_int_eq(d.mapping[i].has_functions, mappings[i].has_functions);
		ck_assert_int_eq(d.mapping[i].has_filenames, mappings[i].has_filenames);
		ck_assert_int_eq(d.mapping[i].has_line_numbers, mappings[i].has_line_numbers);
		ck_assert_int_eq(d.mapping[i].has_inline_frames, mappings[i].has_inline_frames);
	}
}
END_TEST

START_TEST(functions_are_written)
{
	struct message m = golden();
	struct decoded d = encoded(&m);

	ck_assert_uint_eq(d.function_count, 3);
	for (size_t i = 0; i < 3; i++) {
		ASSERT_TEXT(d.function[i].name, functions[i].name);
		ASSERT_TEXT(d.function[i].system_name, functions[i].system_name);
		ASSERT_TEXT(d.function[i].file, functions[i].file);
		ck_assert_int_eq(d.function[i].start_line, functions[i].start_line);
	}
}
END_TEST

START_TEST(locations_are_written_with_inlined_lines_in_order)
{
	struct message m = golden();
	struct decoded d = encoded(&m);

	ck_assert_uint_eq(d.location_count, 3);
	ck_assert_uint_eq(d.location[0].mapping, 1);
	ck_assert_uint_eq(d.location[0].address, 0x400123);
	ck_assert_uint_eq(d.location[0].line_count, 2);
	ck_assert_uint_eq(d.location[0].line[0].function, 2);
	ck_assert_int_eq(d.location[0].line[0].line, 22);
	ck_assert_uint_eq(d.location[0].line[1].function, 1);
	ck_assert_int_eq(d.location[0].line[1].line, 12);
	ck_assert_uint_eq(d.location[1].mapping, 2);
	ck_assert_uint_eq(d.location[1].line_count, 1);
	ck_assert_uint_eq(d.location[2].mapping, 0);
	ck_assert_uint_eq(d.location[2].line[0].function, 3);
}
END_TEST

START_TEST(samples_are_written_with_all_values)
{
	struct message m = golden();
	struct decoded d = encoded(&m);

	ck_assert_uint_eq(d.sample_count, 3);
	ck_assert_uint_eq(d.sample[0].location_count, 3);
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_uint_eq(d.sample[0].location[i], i + 1);
	ck_assert_int_eq(d.sample[0].value[0], 3);
	ck_assert_int_eq(d.sample[0].value[1], 30000000);
	ck_assert_uint_eq(d.sample[1].location_count, 1);
	ck_assert_int_eq(d.sample[1].value[0], 0);
	ck_assert_int_eq(d.sample[1].value[1], -5);
	ck_assert_uint_eq(d.sample[2].location_count, 0);
}
END_TEST

START_TEST(labels_are_text_or_number)
{
	struct message m = golden();
	struct decoded d = encoded(&m);

	ck_assert_uint_eq(d.sample[0].label_count, 2);
	ASSERT_TEXT(d.sample[0].label[0].key, "thread_name");
	ASSERT_TEXT(d.sample[0].label[0].str, "worker");
	ck_assert_uint_eq(d.sample[0].label[0].num, 0);
	ASSERT_TEXT(d.sample[0].label[1].key, "tid");
	ck_assert_uint_eq(d.sample[0].label[1].str, 0);
	ck_assert_uint_eq(d.sample[0].label[1].num, 4711);
	ck_assert_uint_eq(d.sample[0].label[1].num_unit, 0);
	ck_assert_uint_eq(d.sample[1].label_count, 1);
	ck_assert_int_eq((int64_t)d.sample[1].label[0].num, -1);
	ASSERT_TEXT(d.sample[1].label[0].num_unit, "bytes");
	ck_assert_uint_eq(d.sample[2].label_count, 0);
}
END_TEST

START_TEST(no_string_is_written_twice)
{
	struct message m = golden();
	struct decoded d = encoded(&m);

	for (size_t i = 0; i < d.string_count; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(d.string[i], d.string[k]);
}
END_TEST

START_TEST(the_first_field_is_a_sample_type)
{
	struct message m = golden();
	struct bytes out;

	ck_assert_int_eq(encode_message(&arena, &m, &out), 0);
	ck_assert_uint_eq(out.at[0], 1 << 3 | 2);
}
END_TEST

START_TEST(a_profile_without_samples_keeps_its_head_and_mappings)
{
	struct message m = golden();
	struct decoded d;

	m.sample_count = m.location_count = m.function_count = m.comment_count = 0;
	d = encoded(&m);
	ck_assert_uint_eq(d.type_count, 2);
	ASSERT_TEXT(d.period_type.type, "cpu");
	ck_assert_int_eq(d.period, 10000000);
	ck_assert_int_eq(d.time_ns, 1700000000123456789);
	ck_assert_uint_eq(d.mapping_count, 2);
	ck_assert_uint_eq(d.sample_count, 0);
}
END_TEST

START_TEST(indexes_that_point_nowhere_are_refused)
{
	static const uint32_t stack[] = { 0, 3 };
	static const struct message_line line = { 3, 1 };
	static const struct message_location bad_mapping = { 2, 0x400000, &lines[0], 1 };
	static const struct message_location bad_function = { 0, 0x400000, &line, 1 };
	static const struct message_sample bad_sample = { stack, 2, 0, { 1, 1 }, NULL };
	struct message m[4] = { golden(), golden(), golden(), golden() };
	struct bytes out;

	m[0].location = &bad_mapping;
	m[1].location = &bad_function;
	m[0].location_count = m[1].location_count = 1;
	m[0].sample_count = m[1].sample_count = 0;
	m[2].sample = &bad_sample;
	m[2].sample_count = 1;
	m[3].sample_type_count = MESSAGE_VALUES_MAX + 1;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(encode_message(&arena, &m[i], &out), -1);
}
END_TEST

/* Invalid bytes, and what must come of them. */
static const struct {
	const char *in, *out;
} utf8_cases[] = {
	{ "plain", "plain" },
	{ "gr\xc3\xbc\xc3\x9f dich", "gr\xc3\xbc\xc3\x9f dich" },
	{ "\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
	{ "latin1 \xfc", "latin1 \xef\xbf\xbd" },
	{ "\x80", "\xef\xbf\xbd" },
	{ "cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd" },
	{ "cut \xf0\x9f\x98!", "cut \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!" },
	{ "overlong \xc0\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd" },
	{ "overlong \xe0\x9f\xbf", "overlong \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "overlong \xf0\x8f\xbf\xbf",
	  "overlong \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "surrogate \xed\xa0\x80", "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "beyond \xf4\x90\x80\x80", "beyond \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd" },
	{ "two\nlines", "two\xef\xbf\xbdlines" },
};

START_TEST(bytes_that_are_not_utf8_text_are_replaced)
{
	struct message m = golden();
	const char *comment[3] = { utf8_cases[_i].in, utf8_cases[_i].out, utf8_cases[_i].in };
	struct decoded d;

	m.comment = comment;
	m.comment_count = 3;
	d = encoded(&m);
	ASSERT_TEXT(d.comment[0], utf8_cases[_i].out);
	ck_assert_uint_eq(d.comment[1], d.comment[0]);
	ck_assert_uint_eq(d.comment[2], d.comment[0]);
}
END_TEST

START_TEST(the_same_message_gives_the_same_bytes)
{
	struct message m = golden();
	struct bytes one, two;

	ck_assert_int_eq(encode_message(&arena, &m, &one), 0);
	ck_assert_int_eq(encode_message(&arena, &m, &two), 0);
	ck_assert_uint_eq(one.len, two.len);
	ck_assert_mem_eq(one.at, two.at, one.len);
}
END_TEST

/* A message as large as profiles get. */
enum { BIG_FUNCTIONS = 30000, BIG_LOCATIONS = 50000, BIG_SAMPLES = 15000, BIG_DEPTH = 40 };

static struct message_function *big_functions(void)
{
	struct message_function *f = items(BIG_FUNCTIONS, sizeof(*f));

	for (uint32_t i = 0; i < BIG_FUNCTIONS; i++) {
		char *name = items(64, 1), *system_name = items(64, 1), *file = items(64, 1);
		struct text t = { .at = name, .size = 64 }, s = { .at = system_name, .size = 64 };
		struct text p = { .at = file, .size = 64 };

		text_str(&t, "project::module::Class::method_");
		text_u64(&t, i);
		text_str(&s, "_ZN7project6module5Class6method_");
		text_u64(&s, i);
		text_str(&p, "/usr/src/project/module/source_");
		text_u64(&p, i / 20);
		f[i] = (struct message_function){ name, system_name, file, i % 1000 };
	}
	return f;
}

static struct message_location *big_locations(void)
{
	struct message_location *l = items(BIG_LOCATIONS, sizeof(*l));
	struct message_line *line = items(BIG_LOCATIONS, sizeof(*line));

	for (uint32_t i = 0; i < BIG_LOCATIONS; i++) {
		line[i] = (struct message_line){ i % BIG_FUNCTIONS, i % 1000 };
		l[i] = (struct message_location){ 0, 0x7f1234000000 + i * 40, &line[i], 1 };
	}
	return l;
}

static struct message_sample *big_samples(void)
{
	struct message_sample *s = items(BIG_SAMPLES, sizeof(*s));
	uint32_t *location = items(BIG_SAMPLES * BIG_DEPTH, sizeof(*location)), seed = 1;

	for (uint32_t i = 0; i < BIG_SAMPLES; i++, location += BIG_DEPTH) {
		for (uint32_t k = 0; k < BIG_DEPTH; k++) {
			seed = seed * 1664525 + 1013904223;
			location[k] = (seed >> 8) % BIG_LOCATIONS;
		}
		s[i] = (struct message_sample){ location, BIG_DEPTH, 0, { 1, 10000000 }, NULL };
	}
	return s;
}

static struct message big(void)
{
	struct message m = golden();

	m.function = big_functions();
	m.function_count = BIG_FUNCTIONS;
	m.location = big_locations();
	m.location_count = BIG_LOCATIONS;
	m.sample = big_samples();
	m.sample_count = BIG_SAMPLES;
	return m;
}

/* 20 MiB hold the largest profile, compressed file included; the time is for people to read. */
START_TEST(a_big_profile_takes_little_memory)
{
	struct message m = big();
	struct bytes plain, packed;
	int64_t start = sys_now_ns(), encoded_at, packed_at;
	struct decoded d;

	ck_assert_int_eq(encode_message(&arena, &m, &plain), 0);
	encoded_at = sys_now_ns();
	ck_assert_int_eq(encode_gzip(&arena, plain, &packed), 0);
	packed_at = sys_now_ns();
	printf("%d samples: %.1f ms to encode %.2f MiB, %.1f ms to compress to %.2f MiB, "
	       "%.1f MiB of arena\n",
	       BIG_SAMPLES, (double)(encoded_at - start) / 1e6, (double)plain.len / 1048576,
	       (double)(packed_at - encoded_at) / 1e6, (double)packed.len / 1048576,
	       (double)arena.mapped / 1048576);
	ck_assert_uint_lt(arena.mapped, 20UL << 20);
	d = decode_profile(plain);
	assert_decoded_is_sound(&d);
	ck_assert_uint_eq(d.sample_count, BIG_SAMPLES);
	ck_assert_uint_eq(d.location_count, BIG_LOCATIONS);
	ck_assert_uint_eq(d.function_count, BIG_FUNCTIONS);
}
END_TEST

/* Limits grow until all fits; each must fail or succeed, and keep to its limit. */
START_TEST(whatever_the_memory_it_ends_cleanly)
{
	struct message m = big();
	int failures = 0, done = -1;

	m.sample_count = 1000;
	for (size_t limit = 0; done != 0; limit += MAX(16384UL, limit / 16)) {
		struct arena small = ARENA_INIT(limit);
		struct bytes out;

		ck_assert_uint_lt(limit, ROOMY);
		done = encode_message(&small, &m, &out);
		failures += done != 0;
		ck_assert_uint_le(small.mapped, limit);
		arena_release(&small);
	}
	ck_assert_int_gt(failures, 20);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("encode");
	Suite *suite = suite_create("encode");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, the_head_is_written);
	tcase_add_test(tc, mappings_are_written_with_their_flags);
	tcase_add_test(tc, functions_are_written);
	tcase_add_test(tc, locations_are_written_with_inlined_lines_in_order);
	tcase_add_test(tc, samples_are_written_with_all_values);
	tcase_add_test(tc, labels_are_text_or_number);
	tcase_add_test(tc, no_string_is_written_twice);
	tcase_add_test(tc, the_first_field_is_a_sample_type);
	tcase_add_test(tc, a_profile_without_samples_keeps_its_head_and_mappings);
	tcase_add_test(tc, indexes_that_point_nowhere_are_refused);
	tcase_add_loop_test(tc, bytes_that_are_not_utf8_text_are_replaced, 0,
			    ARRAY_SIZE(utf8_cases));
	tcase_add_test(tc, the_same_message_gives_the_same_bytes);
	tcase_add_test(tc, a_big_profile_takes_little_memory);
	tcase_add_test(tc, whatever_the_memory_it_ends_cleanly);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
