/* Threads as samples and as text, on a message made by hand. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/count_text.h"
#include "proto/threads.h"
#include "sampler/base/cc.h"

static const struct message_mapping mappings[] = {
	{ .start = 0x400000, .limit = 0x500000, .file = "/usr/bin/server" },
};

static const struct message_function functions[] = {
	{ "epoll_wait", "epoll_wait", "", 0 },
	{ "(anonymous namespace)::serve(int)", "_ZN", "/src/serve.cc", 0 },
	{ "main", "main", "/src/main.c", 0 },
	{ "[unseen stack]", "[unseen stack]", "", 0 },
};

static const struct message_line in_epoll = { 0, 0 }, in_main[] = { { 1, 41 }, { 2, 9 } },
				 in_nothing = { 3, 0 };

static const struct message_location locations[] = {
	{ 0, 0x401000, &in_epoll, 1 },
	{ 0, 0x402000, in_main, 2 },
	{ MESSAGE_NONE, 7, &in_nothing, 1 },
};

static const struct message_sample stacks[] = {
	{ .location = (const uint32_t[]){ 0, 1 }, .location_count = 2, .value = { 3 } },
	{ .location = (const uint32_t[]){ 2 }, .location_count = 1, .value = { 1 } },
};

static struct message message_of_stacks(void)
{
	return (struct message){ .sample_type_count = 1,
				 .mapping = mappings,
				 .mapping_count = ARRAY_SIZE(mappings),
				 .function = functions,
				 .function_count = ARRAY_SIZE(functions),
				 .location = locations,
				 .location_count = ARRAY_SIZE(locations),
				 .sample = stacks,
				 .sample_count = ARRAY_SIZE(stacks) };
}

#define WAITING "waiting", "epoll wait"

static const struct thread_entry threads[] = {
	{ 100, 1, 0, "main", WAITING, -1, 0, 0, 0, false, false, false, NULL, 0 },
	{ 101, 1, 0, "worker", WAITING, 61000000000, 0, 0, 0, false, false, false, NULL, 0 },
	{ 102, 1, 0, "worker", WAITING, 59000000000, 0, 0, 0, false, false, false, &locations[1],
	  0 },
	{ 103, 1, 1, "", "running", NULL, -1, 0, 0, 0, false, false, false, NULL, 0 },
	{ 104, 1, 1, "a,b]{\"", "waiting", "mutex wait", 7200000000000, 0x5580, 101, 0, true, false,
	  false, NULL, 0 },
};

static struct arena arena = ARENA_INIT(32 << 20);

static const char *text_of(const struct thread_entry *entry, uint32_t count, const char *preface)
{
	const struct thread_list l = { entry, count };
	struct message m = message_of_stacks();
	struct bytes out;

	ck_assert_int_eq(threads_text(&arena, &m, &l, preface, &out), 0);
	ck_assert_uint_eq(strlen((const char *)out.at), out.len);
	return (const char *)out.at;
}

static const char *const golden =
	"# what to know first\n"
	"\n"
	"goroutine 101 [epoll wait labels:{\"thread\": \"worker\"}, 1 minutes]:\n"
	"epoll_wait(...)\n"
	"\t/usr/bin/server:0 .s:0 +0x1000\n"
	"{anonymous namespace}::serve{int}(...)\n"
	"\t/src/serve.cc:41 .c:41 +0x2000\n"
	"main(...)\n"
	"\t/src/main.c:9 +0x2000\n"
	"\n"
	"goroutine 102 [epoll wait labels:{\"thread\": \"worker\"}]:\n"
	"epoll_wait(...)\n"
	"\t/usr/bin/server:0 .s:0 +0x1000\n"
	"{anonymous namespace}::serve{int}(...)\n"
	"\t/src/serve.cc:41 .c:41 +0x2000\n"
	"main(...)\n"
	"\t/src/main.c:9 +0x2000\n"
	"created by {anonymous namespace}::serve{int}\n"
	"\t/src/serve.cc:41 .c:41 +0x2000\n"
	"\n"
	"goroutine 103 [running]:\n"
	"[unseen stack](...)\n"
	"\t[unknown]:0 .s:0 +0x0\n"
	"\n"
	"goroutine 104 [mutex wait 0x5580 held by 101 which is gone labels:{\"thread\": "
	"\"a.b)('\"}, 120 minutes]:\n"
	"[unseen stack](...)\n"
	"\t[unknown]:0 .s:0 +0x0\n";

START_TEST(a_dump_reads_like_this)
{
	ck_assert_str_eq(text_of(threads + 1, 4, "# what to know first\n"), golden);
}
END_TEST

/* panicparse: '/' is the end of a package with a dot behind it, '%' an escape. */
START_TEST(names_of_operators_do_not_stop_a_reader)
{
	static const struct message_function named[] = {
		{ "V::operator/(V const&)", "", "/src/v.hpp", 0 },
		{ "V::operator%(int)", "", "", 0 },
		{ "net/http.(*conn).serve", "", "/src/net/http/server.go", 0 },
	};
	static const struct message_line line[] = { { 0, 3 }, { 1, 0 }, { 2, 9 } };
	static const struct message_location location[] = { { 0, 0x401000, line, 3 } };
	static const uint32_t first = 0;
	static const struct message_sample sample = { .location = &first, .location_count = 1 };
	struct thread_entry e = threads[3];
	const struct thread_list l = { &e, 1 };
	struct message m = message_of_stacks();
	struct bytes out;

	e.sample = 0;
	m.function = named;
	m.location = location;
	m.sample = &sample;
	ck_assert_int_eq(threads_text(&arena, &m, &l, "", &out), 0);
	ck_assert_str_eq((const char *)out.at, "goroutine 103 [running]:\n"
					       "V::operator\u2215{V const&}(...)\n"
					       "\t/src/v.hpp:3 .c:3 +0x1000\n"
					       "V::operator\uff05{int}(...)\n"
					       "\t/usr/bin/server:0 .s:0 +0x1000\n"
					       "net/http.{*conn}.serve(...)\n"
					       "\t/src/net/http/server.go:9 +0x1000\n");
}
END_TEST

START_TEST(no_threads_make_no_text)
{
	ck_assert_str_eq(text_of(threads, 0, ""), "");
}
END_TEST

static struct message samples_of(const struct thread_entry *entry, uint32_t count, bool with_tids)
{
	const struct thread_list l = { entry, count };
	struct message m = message_of_stacks();

	ck_assert_int_eq(threads_to_samples(&arena, &l, with_tids, &m), 0);
	return m;
}

START_TEST(with_tids_each_thread_is_a_sample)
{
	struct message m = samples_of(threads, ARRAY_SIZE(threads), true);
	const struct message_sample *s = &m.sample[1];

	ck_assert_uint_eq(m.sample_count, ARRAY_SIZE(threads));
	ck_assert_uint_eq(s->label_count, 4);
	ck_assert_str_eq(s->label[0].key, "state");
	ck_assert_str_eq(s->label[1].text, "worker");
	ck_assert_str_eq(s->label[2].text, "epoll wait");
	ck_assert_str_eq(s->label[3].key, "tid");
	ck_assert_ptr_null(s->label[3].text);
	ck_assert_int_eq(s->label[3].number, 101);
	ck_assert_uint_eq(m.sample[3].label_count, 2); /* no name, no reason */
}
END_TEST

START_TEST(without_tids_equal_ones_are_added_up)
{
	struct message m = samples_of(threads, ARRAY_SIZE(threads), false);

	ck_assert_uint_eq(m.sample_count, 4);
	ck_assert_int_eq(m.sample[0].value[0], 1);
	ck_assert_int_eq(m.sample[1].value[0], 2);
}
END_TEST

/* One stayed, one ended, one came. */
START_TEST(a_difference_has_who_came_and_who_went)
{
	struct thread_entry both[] = { threads[0], threads[1], threads[0], threads[3] };
	struct message m;

	both[2].weight = both[3].weight = -1;
	m = samples_of(both, ARRAY_SIZE(both), true);
	ck_assert_uint_eq(m.sample_count, 2);
	ck_assert_int_eq(m.sample[0].value[0], 1);
	ck_assert_int_eq(m.sample[0].label[3].number, 101);
	ck_assert_int_eq(m.sample[1].value[0], -1);
}
END_TEST

/* Every sample in its place among many: the table of them is larger than one page. */
START_TEST(many_threads_are_told_apart)
{
	static struct thread_entry many[5000];
	struct message m;

	for (int i = 0; i < 5000; i++) {
		many[i] = threads[i % 5];
		many[i].tid = 1 + i;
	}
	m = samples_of(many, 5000, true);
	ck_assert_uint_eq(m.sample_count, 5000);
	m = samples_of(many, 5000, false);
	ck_assert_uint_eq(m.sample_count, 4);
	ck_assert_int_eq(m.sample[1].value[0], 2000);
}
END_TEST

START_TEST(groups_carry_their_labels)
{
	struct message m = samples_of(threads, 3, false);
	struct bytes out;

	ck_assert_int_eq(count_text(&arena, &m, "goroutine", &out), 0);
	ck_assert_ptr_nonnull(strstr((const char *)out.at,
				     "goroutine profile: total 3\n"
				     "2 @ 0x401001 0x402001\n"
				     "# labels: {\"state\":\"waiting\", \"thread\":\"worker\", "
				     "\"wait_reason\":\"epoll wait\"}\n"
				     "#\t0x401000\tepoll_wait\n"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("thread_text");
	TCase *t = tcase_create("thread_text");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, a_dump_reads_like_this);
	tcase_add_test(t, names_of_operators_do_not_stop_a_reader);
	tcase_add_test(t, no_threads_make_no_text);
	tcase_add_test(t, with_tids_each_thread_is_a_sample);
	tcase_add_test(t, without_tids_equal_ones_are_added_up);
	tcase_add_test(t, a_difference_has_who_came_and_who_went);
	tcase_add_test(t, many_threads_are_told_apart);
	tcase_add_test(t, groups_carry_their_labels);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
