/* What answers heap, allocs, threadcreate, goroutine, block and mutex. */
#include "test/unit/http/fake_routes.h"

/* ---- heap and allocs */

struct heap_case {
	const char *line;
	int status;
	const char *body, *type, *filename;
};

#define BINARY "application/octet-stream"

static const struct heap_case heap_cases[] = {
	{ "GET /debug/pprof/heap", 200, "file", BINARY, "heap" },
	{ "GET /debug/pprof/allocs", 200, "file", BINARY, "allocs" },
	{ "GET /debug/pprof/heap?gc=1", 200, "file", BINARY, "heap" },
	{ "GET /debug/pprof/heap?seconds=", 200, "file", BINARY, "heap" },
	{ "GET /debug/pprof/heap?debug=0", 200, "file", BINARY, "heap" },
	{ "GET /debug/pprof/heap?debug=abc", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?debug=1", 200, "text", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/heap?debug=-1", 200, "text", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/allocs?debug=1", 200, "text", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/heap?seconds=0", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=-1", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=abc", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=1.5", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=5&debug=1", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?format=collapsed", 200, "", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/heap?format=pprof", 200, "file", BINARY, "heap" },
	{ "GET /debug/pprof/heap?format=text&debug=1", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?format=svg", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?format=text&sample_index=cpu", 400, NULL, NULL, NULL },
	{ "POST /debug/pprof/heap", 405, NULL, NULL, NULL },
	{ "GET /debug/pprof/block", 200, "file", BINARY, "block" },
	{ "GET /debug/pprof/mutex", 200, "file", BINARY, "mutex" },
	{ "GET /debug/pprof/block?debug=1", 200, "waits", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/mutex?debug=1", 200, "blame", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/block?seconds=0", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/mutex?seconds=5&debug=1", 400, NULL, NULL, NULL },
	{ "POST /debug/pprof/mutex", 405, NULL, NULL, NULL },
};

static void expect_same(const char *got, const char *wanted, const char *line)
{
	ck_assert_msg(wanted ? got && strcmp(got, wanted) == 0 : !got, "\"%s\", not \"%s\": %s",
		      got ? got : "NULL", wanted ? wanted : "NULL", line);
}

START_TEST(test_heap__requests)
{
	const struct heap_case *c = &heap_cases[_i];

	ask(c->line);
	ck_assert_msg(x.status == c->status, "%d, not %d: %s", x.status, c->status, c->line);
	if (c->status != 200)
		return;
	expect_text(c->body);
	expect_same(x.type, c->type, c->line);
	expect_same(x.filename, c->filename, c->line);
}
END_TEST

START_TEST(test_heap__delta_is_the_difference_of_two_snapshots)
{
	ask("GET /debug/pprof/allocs?seconds=5");
	ck_assert(x.begun && x.has_pending);
	ck_assert_str_eq(x.filename, "allocs-delta");
	x.pending.due(&x, x.pending.arg);
	ck_assert(x.finished && !x.aborted);
	ck_assert_int_eq(heap_fake.built_bytes, 10);
	ck_assert_int_gt(heap_fake.head.duration_ns, 0);
}
END_TEST

START_TEST(test_heap__snapshot_shows_what_is_in_use_and_has_no_duration)
{
	ask("GET /debug/pprof/heap");
	ck_assert_int_eq(heap_fake.head.duration_ns, 0);
	ck_assert_str_eq(heap_fake.head.default_sample_type, "");
}
END_TEST

START_TEST(test_heap__allocs_shows_what_was_allocated)
{
	ask("GET /debug/pprof/allocs");
	ck_assert_str_eq(heap_fake.head.default_sample_type, "alloc_space");
	ck_assert_uint_eq(heap_fake.head.sample_type_count, 4);
	ck_assert_str_eq(heap_fake.head.sample_type[3].type, "inuse_space");
	ck_assert_int_eq(heap_fake.head.period, 524288);
}
END_TEST

START_TEST(test_heap__that_is_off_says_so)
{
	heap_fake.off = true;
	ask("GET /debug/pprof/heap");
	ck_assert_int_eq(x.status, 404);
	ck_assert(x.is_error);
	heap_fake.off = false;
}
END_TEST

START_TEST(test_heap__head_takes_no_snapshot)
{
	int before = heap_fake.snapshots;

	ask("HEAD /debug/pprof/heap");
	ck_assert(x.begun && !x.has_pending);
	ck_assert_int_eq(heap_fake.snapshots, before);
}
END_TEST
START_TEST(test_threadcreate__is_a_count)
{
	ask("GET /debug/pprof/threadcreate");
	ck_assert_int_eq(x.status, 200);
	ck_assert_str_eq(x.filename, "threadcreate");
	ck_assert_str_eq(heap_fake.head.sample_type[0].type, "threadcreate");
	ck_assert_str_eq(heap_fake.head.period_type.unit, "count");
	ck_assert_int_eq(heap_fake.head.period, 1);
	ck_assert_uint_eq(heap_fake.head.sample_type_count, 1);
}
END_TEST

/* ---- goroutine */

struct goroutine_case {
	const char *line;
	int status;
	const char *type, *filename;
};

static const struct goroutine_case goroutine_cases[] = {
	{ "GET /debug/pprof/goroutine", 200, BINARY, "goroutine" },
	{ "GET /debug/pprof/goroutine?seconds=", 200, BINARY, "goroutine" },
	{ "GET /debug/pprof/goroutine?debug=1", 200, "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/goroutine?debug=2", 200, "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/goroutine?seconds=5", 200, BINARY, "goroutine-delta" },
	{ "HEAD /debug/pprof/goroutine?debug=2", 200, "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/goroutine?format=text", 200, "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/goroutine?format=collapsed&seconds=1", 200, "text/plain; charset=utf-8",
	  NULL },
	{ "GET /debug/pprof/goroutine?seconds=0", 400, NULL, NULL },
	{ "GET /debug/pprof/goroutine?seconds=x", 400, NULL, NULL },
	{ "GET /debug/pprof/goroutine?seconds=5&debug=1", 400, NULL, NULL },
	{ "GET /debug/pprof/goroutine?seconds=5&debug=2", 400, NULL, NULL },
	{ "POST /debug/pprof/goroutine", 405, NULL, NULL },
};

/* As the server does, until the answer is there. */
static void wait_for_answer(void)
{
	int again;

	do {
		again = x.again;
		x.pending.due(&x, x.pending.arg);
	} while (x.again != again);
	ck_assert(x.finished || x.aborted);
}

START_TEST(test_goroutine__requests)
{
	const struct goroutine_case *c = &goroutine_cases[_i];

	ask(c->line);
	ck_assert_msg(x.status == c->status, "%d, not %d: %s", x.status, c->status, c->line);
	if (c->status != 200)
		return;
	expect_same(x.type, c->type, c->line);
	expect_same(x.filename, c->filename, c->line);
	if (!x.has_pending)
		return;
	wait_for_answer();
	ck_assert_int_eq(dump_fake.freed, dump_fake.started);
}
END_TEST

START_TEST(test_goroutine__is_made_in_slices)
{
	ask("GET /debug/pprof/goroutine");
	wait_for_answer();
	ck_assert_int_eq(x.again, 2);
	ck_assert_uint_eq(built_samples, 2);
	ck_assert_int_eq(dump_fake.head.duration_ns, 0);
}
END_TEST

START_TEST(test_goroutine__delta_is_of_two_dumps)
{
	ask("GET /debug/pprof/goroutine?seconds=5");
	wait_for_answer();
	ck_assert_int_eq(dump_fake.started, 2);
	ck_assert_int_eq(x.again, 5); /* two for each dump, and the wait in between */
	ck_assert_uint_eq(built_samples, 2);
	ck_assert_int_gt(dump_fake.head.duration_ns, 0);
}
END_TEST

/* At every point of a difference: before the first step, in between, in the second dump. */
START_TEST(test_goroutine__ends_when_the_client_goes)
{
	ask("GET /debug/pprof/goroutine?seconds=5");
	for (int i = 0; i < _i; i++)
		x.pending.due(&x, x.pending.arg);
	x.pending.gone(x.pending.arg);
	ck_assert_int_eq(dump_fake.freed, dump_fake.started);
	ck_assert(!x.finished);
}
END_TEST

START_TEST(test_goroutine__without_memory_says_so)
{
	dump_fake.fails = true;
	ask("GET /debug/pprof/goroutine");
	ck_assert_int_eq(x.status, 500);
	ck_assert(x.is_error);
}
END_TEST

START_TEST(test_goroutine__head_looks_at_nothing)
{
	ask("HEAD /debug/pprof/goroutine");
	ck_assert(x.begun && !x.has_pending);
	ck_assert_int_eq(dump_fake.started, 0);
}
END_TEST

/* ---- block and mutex */

static void expect_contention_head(void)
{
	const struct profile_head *h = &heap_fake.head;

	ck_assert_uint_eq(h->sample_type_count, 2);
	ck_assert_str_eq(h->sample_type[0].type, "contentions");
	ck_assert_str_eq(h->sample_type[0].unit, "count");
	ck_assert_str_eq(h->sample_type[1].type, "delay");
	ck_assert_str_eq(h->sample_type[1].unit, "nanoseconds");
	ck_assert_str_eq(h->period_type.type, "contentions");
	ck_assert_int_eq(h->period, 1);
	ck_assert_str_eq(h->default_sample_type, "");
}

START_TEST(test_contention__heads_are_those_of_go)
{
	ask(_i ? "GET /debug/pprof/block" : "GET /debug/pprof/mutex");
	expect_contention_head();
	ck_assert_int_eq(heap_fake.head.duration_ns, 0);
}
END_TEST

START_TEST(test_contention__while_a_delta_is_taken_everything_is_wanted)
{
	ask(_i ? "GET /debug/pprof/block?seconds=5" : "GET /debug/pprof/mutex?seconds=5");
	ck_assert(x.begun && x.has_pending);
	ck_assert_int_eq(contention_fake.wanting_everything, 1);
	x.pending.due(&x, x.pending.arg);
	ck_assert(x.finished && !x.aborted);
	ck_assert_int_eq(contention_fake.wanting_everything, 0);
	ck_assert_int_eq(heap_fake.built_bytes, 10);
}
END_TEST

START_TEST(test_contention__a_client_that_goes_away_wants_nothing_any_more)
{
	ask("GET /debug/pprof/block?seconds=5");
	ck_assert_int_eq(contention_fake.wanting_everything, 1);
	x.pending.gone(x.pending.arg);
	ck_assert_int_eq(contention_fake.wanting_everything, 0);
}
END_TEST

START_TEST(test_contention__that_is_off_says_so)
{
	contention_fake.off = true;
	ask(_i ? "GET /debug/pprof/block" : "GET /debug/pprof/mutex?seconds=5");
	ck_assert_int_eq(x.status, 404);
	ck_assert_int_eq(contention_fake.wanting_everything, 0);
	contention_fake.off = false;
}
END_TEST

static void add_tests(TCase *t)
{
	tcase_add_loop_test(t, test_heap__requests, 0,
			    (int)(sizeof(heap_cases) / sizeof(heap_cases[0])));
	tcase_add_test(t, test_heap__delta_is_the_difference_of_two_snapshots);
	tcase_add_test(t, test_heap__snapshot_shows_what_is_in_use_and_has_no_duration);
	tcase_add_test(t, test_heap__allocs_shows_what_was_allocated);
	tcase_add_test(t, test_heap__that_is_off_says_so);
	tcase_add_test(t, test_heap__head_takes_no_snapshot);
	tcase_add_test(t, test_threadcreate__is_a_count);
	ADD_TABLE(t, test_goroutine__requests, goroutine_cases);
	tcase_add_test(t, test_goroutine__is_made_in_slices);
	tcase_add_test(t, test_goroutine__delta_is_of_two_dumps);
	tcase_add_loop_test(t, test_goroutine__ends_when_the_client_goes, 0, 5);
	tcase_add_test(t, test_goroutine__without_memory_says_so);
	tcase_add_test(t, test_goroutine__head_looks_at_nothing);
	tcase_add_loop_test(t, test_contention__heads_are_those_of_go, 0, 2);
	tcase_add_loop_test(t, test_contention__while_a_delta_is_taken_everything_is_wanted, 0, 2);
	tcase_add_test(t, test_contention__a_client_that_goes_away_wants_nothing_any_more);
	tcase_add_loop_test(t, test_contention__that_is_off_says_so, 0, 2);
}

int main(void)
{
	Suite *s = suite_create("snapshot_routes");
	SRunner *r = srunner_create(s);
	int failed;

	add_case(s, "snapshots", add_tests);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
