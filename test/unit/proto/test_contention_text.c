#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/contention_text.h"
#include "sampler/base/cc.h"

static const char *const stacks = "2000000 3 @ 0x7f0000008001 0x401001\n"
				  "#\t0x7f0000008000\tpthread_mutex_lock\n"
				  "#\t0x401000\twork\t/src/work.c:17\n"
				  "\n"
				  "500 100 @ 0x401001\n"
				  "#\t0x401000\twork\t/src/work.c:17\n"
				  "\n"
				  "\n"
				  "--- Memory map: ---\n";

static const struct message_function functions[] = {
	{ "pthread_mutex_lock", "pthread_mutex_lock", "", 0 },
	{ "work", "work", "/src/work.c", 0 },
};

static const struct message_line in_lock = { 0, 0 }, in_work = { 1, 17 };

static const struct message_location locations[] = {
	{ 0, 0x7f0000008000, &in_lock, 1 },
	{ 0, 0x401000, &in_work, 1 },
};

/* Not in order: the text is, by delay. */
static const struct message_sample samples[] = {
	{ .location = (const uint32_t[]){ 1 }, .location_count = 1, .value = { 100, 500 } },
	{ .location = (const uint32_t[]){ 0, 1 }, .location_count = 2, .value = { 3, 2000000 } },
};

static const struct message whole = {
	.sample_type_count = 2,
	.function = functions,
	.function_count = ARRAY_SIZE(functions),
	.location = locations,
	.location_count = ARRAY_SIZE(locations),
	.sample = samples,
	.sample_count = ARRAY_SIZE(samples),
};

static struct arena arena = ARENA_INIT(8 << 20);

typedef int (*writer)(struct arena *a, const struct message *m, struct bytes *out);

static void expect(writer write, const char *header)
{
	char golden[512], *start;
	struct bytes out;

	strcpy(golden, header);
	strcat(golden, stacks);
	ck_assert_int_eq(write(&arena, &whole, &out), 0);
	start = strndup((const char *)out.at, strlen(golden));
	ck_assert_str_eq(start, golden);
	free(start);
}

START_TEST(block_reads_as_in_go_longest_delay_first)
{
	expect(block_text, "--- contention:\ncycles/second=1000000000\n");
}
END_TEST

START_TEST(mutex_reads_as_in_go_longest_delay_first)
{
	expect(mutex_text, "--- mutex:\ncycles/second=1000000000\nsampling period=1\n");
}
END_TEST

START_TEST(without_memory_there_is_no_text)
{
	struct arena none = ARENA_INIT(0);
	struct bytes out;

	ck_assert_int_eq(block_text(&none, &whole, &out), -1);
	ck_assert_int_eq(mutex_text(&none, &whole, &out), -1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("contention_text");
	Suite *s = suite_create("contention_text");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, block_reads_as_in_go_longest_delay_first);
	tcase_add_test(t, mutex_reads_as_in_go_longest_delay_first);
	tcase_add_test(t, without_memory_there_is_no_text);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
