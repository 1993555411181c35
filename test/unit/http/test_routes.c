/* Paths and what answers them: pages, CPU profiles, symbols. */
#include "test/unit/http/fake_routes.h"

struct path_case {
	const char *line;
	int status;
	const char *location; /* or NULL */
};

static const struct path_case path_cases[] = {
	{ "GET /debug/pprof/", 200, NULL },
	{ "HEAD /debug/pprof/", 200, NULL },
	{ "GET /debug/pprof/?x=y", 200, NULL },
	{ "GET /debug/pprof/cmdline", 200, NULL },
	{ "GET /debug/pprof/%63mdline", 200, NULL },
	{ "GET /debug/pprof/symbol", 200, NULL },
	{ "HEAD /debug/pprof/symbol", 200, NULL },
	{ "POST /debug/pprof/symbol", 200, NULL },
	{ "GET /debug/pprof/shim", 200, NULL },
	{ "GET /debug/pprof", 301, "/debug/pprof/" },
	{ "GET /debug/pprof?seconds=1", 301, "/debug/pprof/?seconds=1" },
	{ "GET //debug/pprof", 301, "/debug/pprof/" },
	{ "GET //debug/pprof/heap?a=b", 301, "/debug/pprof/heap?a=b" },
	{ "GET /debug//pprof/", 301, "/debug/pprof/" },
	{ "GET /debug/pprof//", 301, "/debug/pprof/" },
	{ "GET /debug/./pprof/symbol", 301, "/debug/pprof/symbol" },
	{ "GET /x/../debug/pprof/symbol", 301, "/debug/pprof/symbol" },
	{ "GET /../debug/pprof/symbol", 301, "/debug/pprof/symbol" },
	{ "GET /debug/pprof/symbol/..", 301, "/debug/pprof/" },
	{ "GET /debug/pprof/x/../", 301, "/debug/pprof/" },
	{ "GET /", 302, "/debug/pprof/" },
	{ "GET //", 302, "/debug/pprof/" },
	{ "GET /..", 302, "/debug/pprof/" },
	{ "GET //evil.example/", 404, NULL },
	{ "GET //evil.example/..", 302, "/debug/pprof/" },
	{ "GET /\\evil.example", 404, NULL },
	{ "GET /favicon.ico", 404, NULL },
	{ "GET /debug", 404, NULL },
	{ "GET /debug/pprofx", 404, NULL },
	{ "GET /DEBUG/PPROF/", 404, NULL },
	{ "GET /debug/pprof/nothing", 404, NULL },
	{ "GET /debug/pprof/heap/", 404, NULL },
	{ "GET /debug/pprof/cmdline/", 404, NULL },
	{ "GET /debug/pprof/a%2Fb", 404, NULL },
	{ "GET /debug/pprof/%00", 404, NULL },
	{ "GET /debug/pprof/trace", 501, NULL },
	{ "HEAD /debug/pprof/trace", 501, NULL },
	{ "POST /debug/pprof/", 405, NULL },
	{ "POST /debug/pprof/profile", 405, NULL },
	{ "POST //debug/pprof/symbol", 405, NULL },
	{ "PUT /debug/pprof/symbol", 405, NULL },
	{ "DELETE /debug/pprof/", 405, NULL },
	{ "OPTIONS /debug/pprof/", 405, NULL },
	{ "TRACE /", 405, NULL },
	{ "get /debug/pprof/", 405, NULL },
};

START_TEST(test_routes__paths)
{
	const struct path_case *c = &path_cases[_i];
	char location[256] = "";

	ask(c->line);
	ck_assert_msg(x.status == c->status, "%d, not %d: %s", x.status, c->status, c->line);
	ck_assert_int_eq(x.is_error, c->status >= 400);
	if (c->location)
		snprintf(location, sizeof(location), "Location: %s\r\n", c->location);
	if (c->status < 400)
		ck_assert_str_eq(strstr(x.extra, "Location: ") ? x.extra : "", location);
}
END_TEST

START_TEST(test_routes__long_paths_are_not_found)
{
	char line[8192] = "GET /debug/pprof/";

	memset(line + strlen(line), 'a', 8000);
	ask(line);
	ck_assert_int_eq(x.status, 404);
}
END_TEST

START_TEST(test_routes__error_texts)
{
	ask("GET /debug/pprof/nothing");
	expect_text("Unknown profile");
	setup();
	ask("GET /elsewhere");
	ck_assert(body_has("/debug/pprof/"));
}
END_TEST

START_TEST(test_routes__allowed_methods_are_named)
{
	ask("PUT /debug/pprof/symbol");
	ck_assert_str_eq(x.extra, "Allow: GET, HEAD, POST\r\n");
	setup();
	ask("POST /debug/pprof/profile");
	ck_assert_str_eq(x.extra, "Allow: GET, HEAD\r\n");
	ck_assert_int_eq(cpu.started, 0);
}
END_TEST

static size_t body_limit(const char *line)
{
	char text[256];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n\r\n", line);
	ck_assert_int_eq(http_parse(text, strlen(text), &request), PARSE_OK);
	return routes_body_limit(&request);
}

START_TEST(test_routes__only_symbol_takes_a_body)
{
	ck_assert_uint_eq(body_limit("POST /debug/pprof/symbol"), 4UL << 20);
	ck_assert_uint_eq(body_limit("GET /debug/pprof/symbol"), 0);
	ck_assert_uint_eq(body_limit("POST /debug/pprof/profile"), 0);
}
END_TEST

/* ---- pages */

START_TEST(test_index__lists_what_works_with_relative_links)
{
	ask("GET /debug/pprof/");
	ck_assert_str_eq(x.type, "text/html; charset=utf-8");
	ck_assert(body_has("<title>/debug/pprof/</title>"));
	ck_assert(body_has(
		"<tr><td>on request</td><td><a href=\"profile?seconds=5\">profile</a></td>"));
	ck_assert(body_has("<tr><td></td><td><a href=\"cmdline\">cmdline</a>"));
	ck_assert(body_has("<a href=\"shim\">shim</a>"));
	ck_assert(body_has("<li><b>symbol</b>: "));
	ck_assert(body_has("</html>\n"));
	ck_assert(!body_has("trace"));
}
END_TEST

START_TEST(test_index__counts_stacks)
{
	ask("GET /debug/pprof/");
	ck_assert(body_has("<tr><td>1</td><td><a href=\"heap?debug=1\">heap</a></td>"));
	ck_assert(body_has("<tr><td>1</td><td><a href=\"allocs?debug=1\">allocs</a></td>"));
	ck_assert(body_has("<tr><td>1</td><td><a href=\"block?debug=1\">block</a></td>"));
	ck_assert(body_has("<tr><td>1</td><td><a href=\"mutex?debug=1\">mutex</a></td>"));
	arena_release(&x.arena);
	setup();
	heap_fake.off = contention_fake.off = true;
	ask("GET /debug/pprof/");
	heap_fake.off = contention_fake.off = false;
	ck_assert(body_has("<tr><td>0</td><td><a href=\"heap?debug=1\">heap</a></td>"));
	ck_assert(body_has("<tr><td>0</td><td><a href=\"mutex?debug=1\">mutex</a></td>"));
	ck_assert(body_has("dormant: heap profiling is off: PPROF_HEAP_RATE is 0"));
}
END_TEST

START_TEST(test_index__offers_each_profile_in_several_ways)
{
	ask_with("GET /debug/pprof/", "Host: localhost:7000\r\n");
	ck_assert(body_has("<a href=\"view?profile=heap\">view</a>"));
	ck_assert(body_has("<a href=\"heap\">download</a>"));
	ck_assert(body_has("<a href=\"heap?format=text\">text</a>"));
	ck_assert(body_has("<a href=\"goroutine?debug=2\">text</a>"));
	ck_assert(body_has("<a href=\"view?profile=profile&amp;seconds=5\">view</a>"));
	ck_assert(body_has("<a href=\"profile?format=text&amp;seconds=5\">text</a>"));
	ck_assert(body_has(
		"<code>curl -u pprof -OJ 'http://localhost:7000/debug/pprof/heap'</code>"));
	ck_assert(
		body_has("<code>go tool pprof "
			 "'http://pprof:KEY@localhost:7000/debug/pprof/profile?seconds=5'</code>"));
	ck_assert_ptr_nonnull(strstr(x.extra, "Content-Security-Policy: default-src 'none'"));
	ck_assert(!body_has("<script"));
}
END_TEST

START_TEST(test_index__says_what_the_program_is)
{
	static const char cmdline[] = "prog\0<b>&\"\0\xff\x1b[1m\0\0--save\0";
	struct routes_config config = *routes_config();
	char process[64];

	config.cmdline = cmdline;
	config.cmdline_len = sizeof(cmdline) - 1;
	routes_init(&config);
	ask("GET /debug/pprof/");
	snprintf(process, sizeof(process), "Process</th><td>%d<tr>", getpid());
	ck_assert(body_has(process));
	ck_assert(body_has("<code>prog &lt;b>&amp;&quot; \xef\xbf\xbd"));
	ck_assert(body_has(" '' --save ''</code>"));
	ck_assert(!body_has("\x1b"));
	ck_assert(body_has("Program</th><td>/usr/bin/prog<tr>"));
	ck_assert(body_has("Host</th><td>"));
	ck_assert(body_has("Uptime</th><td>"));
	ck_assert(body_has(" % of a processor since the start"));
	ck_assert(body_has("iB resident, "));
	ck_assert(body_has("Threads</th><td>"));
	ck_assert(body_has("Descriptors</th><td>"));
	ck_assert(body_has("pprofshim 1.2.3"));
}
END_TEST

/* ---- the page with graphs */

START_TEST(test_view__lies_packed)
{
	ask("GET /debug/pprof/view?profile=heap");
	ck_assert_int_eq(x.status, 200);
	ck_assert_str_eq(x.type, "text/html; charset=utf-8");
	ck_assert_ptr_nonnull(strstr(x.extra, "Content-Encoding: gzip\r\n"));
	ck_assert_ptr_nonnull(strstr(x.extra, "; script-src 'sha256-"));
	ck_assert_ptr_nonnull(strstr(x.extra, "; style-src 'sha256-"));
	ck_assert_ptr_nonnull(strstr(x.extra, "; connect-src 'self'"));
	ck_assert_ptr_nonnull(strstr(x.extra, "Referrer-Policy: no-referrer\r\n"));
	ck_assert_int_eq(memcmp(x.body, "\x1f\x8b", 2), 0);
}
END_TEST

START_TEST(test_view__is_unpacked_for_who_takes_no_gzip)
{
	ask_with("GET /debug/pprof/view", "Accept-Encoding: identity\r\n");
	ck_assert_ptr_null(strstr(x.extra, "Content-Encoding"));
	ck_assert_int_eq(strncmp(x.body, "<!DOCTYPE html>", 15), 0);
	ck_assert(body_has("</html>\n"));
	arena_release(&x.arena);
	setup();
	ask_with("GET /debug/pprof/view", "Accept-Encoding: br, gzip;q=0.5\r\n");
	ck_assert_int_eq(memcmp(x.body, "\x1f\x8b", 2), 0);
}
END_TEST

/* ---- ending early */

START_TEST(test_stop__ends_what_was_asked_for_with_this_id)
{
	ask("GET /debug/pprof/profile?seconds=30&id=a%20b");
	ck_assert_str_eq(x.pending.id, "a b");
	x.pending.gone(x.pending.arg);
	arena_release(&x.arena);
	setup();
	hastened = "a b";
	ask("POST /debug/pprof/stop?id=a%20b");
	hastened = NULL;
	ck_assert_int_eq(x.status, 200);
}
END_TEST

struct stop_case {
	const char *line;
	int status;
};

static const struct stop_case stop_cases[] = {
	{ "POST /debug/pprof/stop?id=x", 404 },
	{ "POST /debug/pprof/stop", 400 },
	{ "GET /debug/pprof/stop?id=x", 405 },
	{ "HEAD /debug/pprof/stop?id=x", 405 },
};

START_TEST(test_stop__is_a_post_of_a_known_id)
{
	ask(stop_cases[_i].line);
	ck_assert_int_eq(x.status, stop_cases[_i].status);
}
END_TEST

START_TEST(test_cmdline__is_joined_by_nul)
{
	ask("GET /debug/pprof/cmdline");
	ck_assert_uint_eq(x.len, sizeof("prog\0-a\0b c") - 1);
	ck_assert_int_eq(memcmp(x.body, "prog\0-a\0b c", x.len), 0);
	ck_assert_str_eq(x.type, "text/plain; charset=utf-8");
	ck_assert_ptr_null(x.filename);
}
END_TEST

START_TEST(test_shim__shows_state_and_every_counter)
{
	char line[512];

	counter_add(COUNTER_CPU_SAMPLES, 42);
	ask("GET /debug/pprof/shim");
	ck_assert_int_eq(strncmp(x.body, "pprofshim 1.2.3\nlistening on 6060\n", 34), 0);
	ck_assert(body_has("\ncpu_samples 42  # ticks captured and counted\n"));
	for (int i = 0; i < COUNTER_COUNT; i++) {
		snprintf(line, sizeof(line), "%s %llu  # %s\n", counter_texts[i].name,
			 (unsigned long long)counter_get((enum counter)i),
			 counter_texts[i].meaning);
		ck_assert_msg(body_has(line), "%s", line);
	}
	ck_assert(body_has("\nmapped_bytes "));
}
END_TEST

START_TEST(test_shim__what_has_counted_comes_first)
{
	bool zeros = false;
	char *line;

	counter_add((enum counter)(COUNTER_COUNT - 1), 1);
	ask("GET /debug/pprof/shim");
	line = strstr(x.body, "6060\n") + strlen("6060\n");
	for (int i = 0; i < COUNTER_COUNT; i++, line = strchr(line, '\n') + 1) {
		bool is_zero = strtoull(strchr(line, ' '), NULL, 10) == 0;

		ck_assert(is_zero || !zeros);
		zeros = is_zero;
	}
	ck_assert(zeros);
}
END_TEST

START_TEST(test_shim__status_is_optional)
{
	const struct routes_config bare = { .version = "1", .cmdline = "" };

	routes_init(&bare);
	ask("GET /debug/pprof/shim");
	ck_assert_int_eq(x.status, 200);
}
END_TEST

/* ---- profile */

struct parameter_case {
	const char *query;
	int64_t seconds;
	int hz;
	enum symbols_detail detail;
};

static const struct parameter_case parameter_cases[] = {
	{ "", 30, 100, SYMBOLS_LINES },
	{ "?seconds=5", 5, 100, SYMBOLS_LINES },
	{ "?seconds=5&seconds=6", 5, 100, SYMBOLS_LINES },
	{ "?seconds=", 30, 100, SYMBOLS_LINES },
	{ "?seconds=0", 30, 100, SYMBOLS_LINES },
	{ "?seconds=3600", 3600, 100, SYMBOLS_LINES },
	{ "?unknown=1&seconds=2", 2, 100, SYMBOLS_LINES },
	{ "?hz=250", 30, 250, SYMBOLS_LINES },
	{ "?lines=0", 30, 100, SYMBOLS_NAMES },
	{ "?lines=1", 30, 100, SYMBOLS_LINES },
};

struct refused_case {
	const char *query, *sentence;
};

#define SECONDS_WRONG "invalid value for \"seconds\" - must be a positive integer"
#define HZ_WRONG      "invalid value for \"hz\" - must be a number from 1 to 1000"

static const struct refused_case refused_cases[] = {
	{ "seconds=-1", SECONDS_WRONG },
	{ "seconds=abc", SECONDS_WRONG },
	{ "seconds=1.5", SECONDS_WRONG },
	{ "seconds=5s", SECONDS_WRONG },
	{ "seconds=99999999999999999999", SECONDS_WRONG },
	{ "seconds=3601", "invalid value for \"seconds\" - must be at most 3600" },
	{ "hz=0", HZ_WRONG },
	{ "hz=-7", HZ_WRONG },
	{ "hz=1001", HZ_WRONG },
	{ "hz=5000", HZ_WRONG },
	{ "hz=x", HZ_WRONG },
	{ "debug=abc", "invalid value for \"debug\" - must be 0 (a file), 1 (text) or, for "
		       "goroutine, 2 (tracebacks)" },
	{ "lines=no", "invalid value for \"lines\" - must be 0 (without) or 1 (with)" },
	{ "gc=yes", "invalid value for \"gc\" - must be an integer" },
	{ "format=svg", "invalid value for \"format\" - must be pprof (a file), text "
			"(a list and a tree) or collapsed (a line for each stack)" },
	{ "format=text&debug=1", "format and debug params are incompatible" },
	{ "sample_index=heap", "invalid value for \"sample_index\" - must be one of samples cpu" },
	{ "id=0123456789012345678901234567890123456789012345678901234567890123",
	  "invalid value for \"id\" - must be shorter than 64 bytes" },
	{ "fromat=text", "unknown parameter - did you mean \"format\"?" },
	{ "second=3", "unknown parameter - did you mean \"seconds\"?" },
	{ "age=1", "unknown parameter - did you mean \"ages\"?" },
	{ "pids=1", "unknown parameter - did you mean \"pid\"?" },
	{ "Seconds=3", "unknown parameter - did you mean \"seconds\"?" },
	{ "%73ecs=3", "unknown parameter - did you mean \"seconds\"?" },
	{ "secodns=3", "unknown parameter - did you mean \"seconds\"?" },
	{ "hz=7&duration", "unknown parameter - did you mean \"seconds\"?" },
	{ "HZ=5", "unknown parameter - did you mean \"hz\"?" },
	{ "line=0", "unknown parameter - did you mean \"lines\"?" },
};

START_TEST(test_profile__nonsense_is_refused_with_a_sentence)
{
	char line[128];

	snprintf(line, sizeof(line), "GET /debug/pprof/profile?%s", refused_cases[_i].query);
	ask(line);
	ck_assert_int_eq(x.status, 400);
	expect_text(refused_cases[_i].sentence);
	ck_assert_int_eq(cpu.started, 0);
	arena_release(&x.arena);
	setup();
	snprintf(line, sizeof(line), "HEAD /debug/pprof/goroutine?%s", refused_cases[_i].query);
	ask(line);
	ck_assert_int_eq(x.status, 400);
}
END_TEST

/* What scrapers send to every page, and what is too far from any name of ours. */
START_TEST(test_profile__names_of_nobody_are_ignored)
{
	ask("GET /debug/pprof/profile?fgprof=1&rate=7&id=4711&timeout=15s&"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1&=&&x&gc=1&format=pprof&hz=&seconds="
	    "2");
	ck_assert(x.begun && x.has_pending);
	ck_assert_int_eq(x.pending.due_ns, START_NS + 2 * NS_PER_SECOND);
	x.pending.due(&x, x.pending.arg);
}
END_TEST

START_TEST(test_profile__parameters)
{
	const struct parameter_case *c = &parameter_cases[_i];
	char line[128];

	snprintf(line, sizeof(line), "GET /debug/pprof/profile%s", c->query);
	ask(line);
	ck_assert(x.begun && x.has_pending);
	ck_assert_int_eq(x.pending.due_ns, START_NS + c->seconds * NS_PER_SECOND);
	ck_assert_int_eq(cpu.hz, c->hz);
	is_hurried = true; /* the machine may have been started a moment ago */
	x.pending.due(&x, x.pending.arg);
	ck_assert_int_eq(cpu.detail, c->detail);
}
END_TEST

START_TEST(test_wall__looks_until_it_is_due_and_is_given_back)
{
	ask("GET /debug/pprof/wall?hz=50&seconds=60");
	ck_assert(x.begun && x.has_pending);
	ck_assert_str_eq(x.filename, "wall");
	ck_assert_int_eq(wall.hz, 50);
	ck_assert_int_le(x.pending.due_ns, sys_now_ns());
	x.pending.due(&x, x.pending.arg);
	ck_assert_int_eq(wall.steps, 1);
	ck_assert_int_eq(x.again, 1);
	ck_assert_int_eq(wall.stopped, 0);
	x.pending.gone(x.pending.arg);
	ck_assert_int_eq(wall.freed, 1);
}
END_TEST

START_TEST(test_wall__is_where_scrapers_look_for_it)
{
	static const char *const lines[] = { "GET /debug/fgprof", "GET /debug/pprof/fgprof",
					     "GET /debug/fgprof?seconds=2" };

	ask(lines[_i]);
	ck_assert(x.begun && x.has_pending);
	ck_assert_int_eq(wall.hz, 20);
	x.pending.gone(x.pending.arg);
}
END_TEST

START_TEST(test_profile__is_built_when_due)
{
	ask("GET /debug/pprof/profile?hz=50");
	ck_assert_str_eq(x.type, "application/octet-stream");
	ck_assert_str_eq(x.filename, "cpu");
	ck_assert_int_eq(cpu.stopped, 0);
	x.pending.due(&x, x.pending.arg);
	ck_assert(x.finished && !x.aborted);
	expect_text("gzip");
	ck_assert_int_eq(cpu.stopped, 1);
	ck_assert_int_eq(cpu.freed, 1);
}
END_TEST

START_TEST(test_profile__says_what_it_measures)
{
	ask("GET /debug/pprof/profile?hz=50");
	x.pending.due(&x, x.pending.arg);
	ck_assert_uint_eq(cpu.head.sample_type_count, 2);
	ck_assert_str_eq(cpu.head.sample_type[CPU_VALUE_SAMPLES].type, "samples");
	ck_assert_str_eq(cpu.head.sample_type[CPU_VALUE_SAMPLES].unit, "count");
	ck_assert_str_eq(cpu.head.sample_type[CPU_VALUE_NS].type, "cpu");
	ck_assert_str_eq(cpu.head.sample_type[CPU_VALUE_NS].unit, "nanoseconds");
	ck_assert_str_eq(cpu.head.default_sample_type, "");
	ck_assert_str_eq(cpu.head.period_type.type, "cpu");
	ck_assert_str_eq(cpu.head.period_type.unit, "nanoseconds");
	ck_assert_int_eq(cpu.head.period, 20000000);
	ck_assert_int_eq(cpu.head.time_ns, 1234);
	ck_assert_int_eq(cpu.head.duration_ns, 5678);
}
END_TEST

START_TEST(test_profile__that_cannot_be_built_is_aborted)
{
	cpu.build_fails = true;
	ask("GET /debug/pprof/profile");
	x.pending.due(&x, x.pending.arg);
	ck_assert(x.aborted && !x.finished);
	ck_assert_int_eq(cpu.freed, 1);
}
END_TEST

START_TEST(test_profile__ends_when_the_client_goes)
{
	ask("GET /debug/pprof/profile");
	x.pending.gone(x.pending.arg);
	ck_assert_int_eq(cpu.freed, 1);
}
END_TEST

START_TEST(test_profile__says_why_it_cannot_start)
{
	cpu.why_not = "the signal is taken";
	ask("GET /debug/pprof/profile");
	ck_assert_int_eq(x.status, 500);
	ck_assert(x.is_error);
	expect_text("Could not enable CPU profiling: the signal is taken");
}
END_TEST

START_TEST(test_profile__without_memory_does_not_start)
{
	x.arena.limit = 0;
	ask("GET /debug/pprof/profile");
	ck_assert_int_eq(x.status, 500);
	ck_assert(x.is_error);
	ck_assert_int_eq(cpu.started, 0);
}
END_TEST

static const char *const text_queries[] = { "?debug=1", "?format=text",
					    "?format=collapsed&seconds=1",
					    "?format=text&sample_index=samples" };

START_TEST(test_profile__can_be_text)
{
	char line[128];

	snprintf(line, sizeof(line), "GET /debug/pprof/profile%s", text_queries[_i]);
	ask(line);
	ck_assert_str_eq(x.type, "text/plain; charset=utf-8");
	ck_assert_ptr_null(x.filename);
	x.pending.due(&x, x.pending.arg);
	ck_assert(x.finished && !x.aborted);
	ck_assert_int_eq(cpu.freed, 1);
	ck_assert(strstr(line, "collapsed") ||
		  body_has(strstr(line, "=samples") ? "\nType: samples\n" : "\nType: cpu\n"));
}
END_TEST

START_TEST(test_profile__head_request_starts_nothing)
{
	ask("HEAD /debug/pprof/profile");
	ck_assert_int_eq(x.status, 200);
	ck_assert(x.begun && !x.has_pending);
	ck_assert_str_eq(x.filename, "cpu");
	ck_assert_int_eq(cpu.started, 0);
}
END_TEST

/* ---- symbol */

struct symbol_case {
	const char *question;
	const char *answer; /* behind the first line */
};

static const struct symbol_case symbol_cases[] = {
	{ "", "" },
	{ "+++", "" },
	{ "0x1010", "0x1010 f1010\n" },
	{ "0X1aB", "" },
	{ "0x1AbC", "0x1abc f1abc\n" },
	{ "4112", "0x1010 f1010\n" },
	{ "010020", "0x1010 f1010\n" },
	{ "0x0", "" },
	{ "0", "" },
	{ "0x", "" },
	{ "08", "" },
	{ "-4112", "" },
	{ "0x1010z", "" },
	{ "1010h", "" },
	{ "0x10000000000001010", "" },
	{ "18446744073709551616", "" },
	{ "0x5000", "" },
	{ "0x3fff+0x1000", "0x3fff f3fff\n0x1000 f1000\n" },
	{ "0x1002+0x1001+0x1002", "0x1002 f1002\n0x1001 f1001\n0x1002 f1002\n" },
	{ "0x1001+0x5000+bad+0x3001+", "0x1001 f1001\n0x3001 f3001\n" },
	{ "+0x1001++0x1002", "0x1001 f1001\n0x1002 f1002\n" },
};

static void expect_symbols(const char *lines)
{
	char expected[512];

	snprintf(expected, sizeof(expected), "num_symbols: 1\n%s", lines);
	ck_assert_int_eq(x.status, 200);
	ck_assert_str_eq(x.type, "text/plain; charset=utf-8");
	expect_text(expected);
}

START_TEST(test_symbol__query)
{
	const struct symbol_case *c = &symbol_cases[_i];
	char line[256];

	snprintf(line, sizeof(line), "GET /debug/pprof/symbol?%s", c->question);
	ask(line);
	expect_symbols(c->answer);
}
END_TEST

START_TEST(test_symbol__body)
{
	const struct symbol_case *c = &symbol_cases[_i];

	ask_with_body("POST /debug/pprof/symbol?0x1777", c->question, strlen(c->question));
	expect_symbols(c->answer);
}
END_TEST

START_TEST(test_symbol__newline_at_the_end_is_harmless)
{
	ask_with_body("POST /debug/pprof/symbol", "0x1001+0x1002\r\n", 15);
	expect_symbols("0x1001 f1001\n0x1002 f1002\n");
}
END_TEST

START_TEST(test_symbol__looks_up_each_module_once)
{
	ask("GET /debug/pprof/symbol?0x3001+0x1001+0x3002+0x1002+0x9000");
	ck_assert_int_eq(table.batches, 2);
	ck_assert_int_eq(table.refreshed, 1);
}
END_TEST

/* `count` addresses, scrambled; returns the bytes. */
static size_t write_many(char *to, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += (size_t)sprintf(to + len, "0x%zx+", 0x1000 + i * 7919 % 0x3000);
	return len;
}

static size_t count_lines(void)
{
	size_t lines = 0;

	for (size_t i = 0; i < x.len; i++)
		lines += x.body[i] == '\n';
	return lines;
}

START_TEST(test_symbol__hundred_thousand_addresses)
{
	size_t count = 3 * 34000; /* a third of them lies in no module */
	char *question = malloc(count * 8 + 1);

	ask_with_body("POST /debug/pprof/symbol", question, write_many(question, count));
	ck_assert_int_eq(x.status, 200);
	ck_assert_uint_gt(count_lines(), count / 2);
	ck_assert_uint_lt(count_lines(), count);
	ck_assert(x.body[x.len - 1] == '\n');
	free(question);
}
END_TEST

START_TEST(test_symbol__without_memory_says_so)
{
	x.arena.limit = 0;
	ask("GET /debug/pprof/symbol?0x1001");
	ck_assert_int_eq(x.status, 500);
	setup();
	table.fails = true;
	ask("GET /debug/pprof/symbol?0x1001");
	ck_assert_int_eq(x.status, 500);
	ck_assert(x.is_error);
}
END_TEST

static void add_page_tests(TCase *t)
{
	ADD_TABLE(t, test_routes__paths, path_cases);
	tcase_add_test(t, test_routes__long_paths_are_not_found);
	tcase_add_test(t, test_routes__error_texts);
	tcase_add_test(t, test_routes__allowed_methods_are_named);
	tcase_add_test(t, test_routes__only_symbol_takes_a_body);
	tcase_add_test(t, test_index__lists_what_works_with_relative_links);
	tcase_add_test(t, test_index__counts_stacks);
	tcase_add_test(t, test_index__offers_each_profile_in_several_ways);
	tcase_add_test(t, test_index__says_what_the_program_is);
	tcase_add_test(t, test_view__lies_packed);
	tcase_add_test(t, test_view__is_unpacked_for_who_takes_no_gzip);
	tcase_add_test(t, test_stop__ends_what_was_asked_for_with_this_id);
	ADD_TABLE(t, test_stop__is_a_post_of_a_known_id, stop_cases);
	tcase_add_test(t, test_cmdline__is_joined_by_nul);
	tcase_add_test(t, test_shim__shows_state_and_every_counter);
	tcase_add_test(t, test_shim__what_has_counted_comes_first);
	tcase_add_test(t, test_shim__status_is_optional);
}

static void add_profile_tests(TCase *t)
{
	ADD_TABLE(t, test_profile__parameters, parameter_cases);
	ADD_TABLE(t, test_profile__nonsense_is_refused_with_a_sentence, refused_cases);
	tcase_add_test(t, test_profile__names_of_nobody_are_ignored);
	tcase_add_test(t, test_wall__looks_until_it_is_due_and_is_given_back);
	tcase_add_loop_test(t, test_wall__is_where_scrapers_look_for_it, 0, 3);
	tcase_add_test(t, test_profile__is_built_when_due);
	tcase_add_test(t, test_profile__says_what_it_measures);
	tcase_add_test(t, test_profile__that_cannot_be_built_is_aborted);
	tcase_add_test(t, test_profile__ends_when_the_client_goes);
	tcase_add_test(t, test_profile__says_why_it_cannot_start);
	tcase_add_test(t, test_profile__without_memory_does_not_start);
	ADD_TABLE(t, test_profile__can_be_text, text_queries);
	tcase_add_test(t, test_profile__head_request_starts_nothing);
}

static void add_symbol_tests(TCase *t)
{
	ADD_TABLE(t, test_symbol__query, symbol_cases);
	ADD_TABLE(t, test_symbol__body, symbol_cases);
	tcase_add_test(t, test_symbol__newline_at_the_end_is_harmless);
	tcase_add_test(t, test_symbol__looks_up_each_module_once);
	tcase_add_test(t, test_symbol__hundred_thousand_addresses);
	tcase_add_test(t, test_symbol__without_memory_says_so);
}

int main(void)
{
	Suite *s = suite_create("routes");
	SRunner *r = srunner_create(s);
	int failed;

	add_case(s, "pages", add_page_tests);
	add_case(s, "profile", add_profile_tests);
	add_case(s, "symbol", add_symbol_tests);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
