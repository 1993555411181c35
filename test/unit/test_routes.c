/*
 * Paths and what answers them.  The server, the sampler, the profile builder and
 * the symbol tables are fakes of this file, so nothing is sent or sampled: an
 * exchange here just notes what it was told.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/routes.h"
#include "proto/build.h"
#include "proto/contention_text.h"
#include "proto/heap_text.h"
#include "proto/trim.h"
#include "sampler/births.h"
#include "sampler/contention.h"
#include "sampler/counters.h"
#include "sampler/cpu.h"
#include "sampler/dump.h"
#include "sampler/heap.h"
#include "sampler/modules.h"
#include "sampler/symbols.h"
#include "sampler/sys.h"
#include "shim/cc.h"

/* ---- fake server */

struct http_exchange {
	struct arena arena;
	int answers;
	int status;
	bool is_error; /* in Go's error form */
	bool begun, has_waiter, finished, aborted;
	int again; /* times that a waiter asked for more time */
	struct http_waiter waiter;
	const char *type, *filename;
	char extra[1024];
	const char *body;
	size_t len;
};

static struct http_exchange x;

struct arena *http_arena(struct http_exchange *e)
{
	return &e->arena;
}

static void note_head(struct http_exchange *e, const struct http_response *r)
{
	e->answers++;
	e->status = r->status;
	e->type = r->content_type ? r->content_type : "text/plain; charset=utf-8";
	e->filename = r->filename;
	snprintf(e->extra, sizeof(e->extra), "%s", r->extra ? r->extra : "");
}

void http_respond(struct http_exchange *e, const struct http_response *r)
{
	note_head(e, r);
	e->body = r->body;
	e->len = r->body_len;
}

void http_error_extra(struct http_exchange *e, int status, const char *message, const char *extra)
{
	struct http_response r = { .status = status, .extra = extra };

	note_head(e, &r);
	e->is_error = true;
	e->body = message;
	e->len = strlen(message);
}

void http_error(struct http_exchange *e, int status, const char *message)
{
	http_error_extra(e, status, message, NULL);
}

void http_begin(struct http_exchange *e, const struct http_response *r, const struct http_waiter *w)
{
	note_head(e, r);
	e->begun = true;
	e->has_waiter = w != NULL;
	if (w)
		e->waiter = *w;
}

void http_finish(struct http_exchange *e, const void *body, size_t len)
{
	e->finished = true;
	e->body = body;
	e->len = len;
}

void http_again(struct http_exchange *e, int64_t due_ns)
{
	e->again++;
	e->waiter.due_ns = due_ns;
}

void http_abort(struct http_exchange *e)
{
	e->aborted = true;
}

/* ---- fake sampler and builder */

#define START_NS (7 * NS_PER_SECOND)

static struct {
	struct cpu_profile profile;
	const char *why_not; /* NULL: profiles can be started */
	int hz;
	int started, stopped, freed;
	bool build_fails;
	struct profile_head head;
	enum symbols_detail detail;
} cpu;

struct cpu_profile *cpu_profile_start(int hz, const char **why)
{
	cpu.hz = hz;
	*why = cpu.why_not;
	if (cpu.why_not)
		return NULL;
	cpu.started++;
	cpu.profile = (struct cpu_profile){ .period_ns = NS_PER_SECOND / hz,
					    .start_ns = START_NS,
					    .start_epoch_ns = 1234 };
	return &cpu.profile;
}

void cpu_profile_stop(struct cpu_profile *p)
{
	cpu.stopped++;
	p->duration_ns = 5678;
}

void cpu_profile_free(struct cpu_profile *p)
{
	ck_assert_ptr_eq(p, &cpu.profile);
	cpu.freed++;
}

int build_profile(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		  enum symbols_detail detail, struct bytes *out)
{
	ck_assert_ptr_eq(t, &cpu.profile.stacks);
	ck_assert_ptr_eq(a, &x.arena);
	cpu.head = *head;
	cpu.detail = detail;
	*out = (struct bytes){ (const uint8_t *)"gzip", 4 };
	return cpu.build_fails ? -1 : 0;
}

/* ---- a fake heap: one stack of 100 bytes, 10 more at each snapshot */

static struct {
	bool off;
	int snapshots;
	int64_t built_bytes; /* HEAP_VALUE_INUSE_BYTES of what was built last */
	struct profile_head head;
} heap_fake;

bool heap_is_on(void)
{
	return !heap_fake.off;
}

uint64_t heap_rate(void)
{
	return 524288;
}

bool heap_sees_program(void)
{
	return true;
}

void heap_snapshot(struct stack_table *t)
{
	static const uint64_t pc = 0x1010;
	struct stack *s = stack_table_add(t, &pc, 1, 3);

	s->value[HEAP_VALUE_INUSE_BYTES] = 100 + 10 * heap_fake.snapshots++;
}

/* ---- fake block and mutex profiles: block has a stack of 100 ns, and 10 more at each snapshot */

static struct {
	bool off;
	int snapshots, wanting_everything;
} contention_fake;

uint64_t block_rate(void)
{
	return contention_fake.off ? 0 : 1000;
}

uint64_t mutex_fraction(void)
{
	return contention_fake.off ? 0 : 10;
}

void block_everything_begins(void)
{
	contention_fake.wanting_everything++;
}

void block_everything_ends(void)
{
	contention_fake.wanting_everything--;
}

void mutex_everything_begins(void)
{
	contention_fake.wanting_everything++;
}

void mutex_everything_ends(void)
{
	contention_fake.wanting_everything--;
}

void block_snapshot(struct stack_table *t)
{
	static const uint64_t pc = 0x1010;
	struct stack *s = stack_table_add(t, &pc, 1, 3);

	s->value[HEAP_VALUE_INUSE_BYTES] = 100 + 10 * contention_fake.snapshots++;
}

void mutex_snapshot(struct stack_table *t)
{
	block_snapshot(t);
}

int block_text(struct arena *a, const struct message *m, struct bytes *out)
{
	(void)a, (void)m;
	*out = (struct bytes){ (const uint8_t *)"waits", 5 };
	return 0;
}

int mutex_text(struct arena *a, const struct message *m, struct bytes *out)
{
	(void)a, (void)m;
	*out = (struct bytes){ (const uint8_t *)"blame", 5 };
	return 0;
}

/* ---- building */

int build_message(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		  enum symbols_detail detail, struct message *out)
{
	(void)a, (void)detail;
	*out = (struct message){ 0 };
	heap_fake.head = *head;
	heap_fake.built_bytes = t->list[0]->value[HEAP_VALUE_INUSE_BYTES];
	return 0;
}

void trim_operator_new(struct arena *a, struct message *m)
{
	(void)a, (void)m;
}

static size_t built_samples;
static int births_snapshots;

int build_file(struct arena *a, const struct message *m, struct bytes *out)
{
	(void)a;
	built_samples = m->sample_count;
	*out = (struct bytes){ (const uint8_t *)"file", 4 };
	return 0;
}

int heap_text(struct arena *a, const struct message *m, struct bytes *out)
{
	(void)a, (void)m;
	*out = (struct bytes){ (const uint8_t *)"text", 4 };
	return 0;
}

/* ---- a fake dump: two threads with one stack, complete after three steps */

static struct {
	bool fails;
	int started, steps, freed;
	struct dump dump[2];
	struct dump_thread thread[2][2];
	struct profile_head head;
} dump_fake;

struct dump *dump_start(bool with_times)
{
	static const uint64_t pc = 0x1010;
	struct dump *d = &dump_fake.dump[dump_fake.started % 2];

	(void)with_times;
	if (dump_fake.fails)
		return NULL;
	*d = (struct dump){ .count = 2, .thread = dump_fake.thread[dump_fake.started++ % 2] };
	stack_table_init(&d->stacks, 1 << 20);
	stack_table_add(&d->stacks, &pc, 1, 3)->value[0] = 2;
	/* thread 7 stays; 8 was followed by 9 */
	d->thread[0] = (struct dump_thread){ .tid = 7, .how = DUMP_RAN };
	d->thread[1] = (struct dump_thread){ .tid = 7 + dump_fake.started, .how = DUMP_RAN };
	return d;
}

int64_t dump_step(struct dump *d)
{
	ck_assert_uint_eq(d->count, 2);
	return ++dump_fake.steps % 3 ? dump_fake.steps : 0;
}

void dump_free(struct dump *d)
{
	stack_table_release(&d->stacks);
	dump_fake.freed++;
}

int build_message_of(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		     enum symbols_detail detail, struct message *out, const uint32_t **of_stack)
{
	static const uint32_t location = 0, sample_of_stack[1] = { 0 };
	static const struct message_sample sample = { .location = &location, .location_count = 1 };
	static const struct message_function function = { "f", "f", "", 0 };
	static const struct message_line line = { 0, 0 };
	static const struct message_location place = { MESSAGE_NONE, 0x1010, &line, 1 };

	(void)a, (void)detail;
	ck_assert_uint_eq(t->count, 1);
	dump_fake.head = *head;
	*out = (struct message){ .sample = &sample,
				 .sample_count = 1,
				 .location = &place,
				 .location_count = 1,
				 .function = &function,
				 .function_count = 1 };
	*of_stack = sample_of_stack;
	return 0;
}

/* Three threads made by one call, and one more after each snapshot. */
void births_snapshot(struct stack_table *t)
{
	static const uint64_t pc = 0x1010;

	stack_table_add(t, &pc, 1, 3)->value[0] = 3 + births_snapshots++;
}

/* ---- fake modules: 0x1000..0x1fff is module 0, 0x3000..0x3fff is module 1 */

static struct {
	struct module module[2];
	int refreshed, batches;
	bool fails;
} table;

bool modules_refresh(void)
{
	table.refreshed++;
	return false;
}

uint32_t modules_generation(void)
{
	return 3;
}

const struct module *module_find(uint64_t pc, uint32_t generation)
{
	ck_assert_uint_eq(generation, 3);
	if (pc >> 12 == 1)
		return &table.module[0];
	return pc >> 12 == 3 ? &table.module[1] : NULL;
}

/* Names are like "f1010"; each address has an inlined frame in front of its function. */
static void name_symbol(struct arena *a, uint64_t pc, struct symbol *out)
{
	char name[32];

	snprintf(name, sizeof(name), "f%llx", (unsigned long long)pc);
	out->frame_count = 2;
	out->frame = arena_array(a, 2, sizeof(*out->frame));
	out->frame[0].name = "inlined";
	out->frame[1].name = arena_strndup(a, name, strlen(name));
}

int symbols_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		    enum symbols_detail detail, int64_t deadline_ns, struct symbol *out)
{
	ck_assert_int_eq(detail, SYMBOLS_NAMES);
	ck_assert_int_gt(deadline_ns, 0);
	table.batches++;
	for (size_t i = 0; i < count; i++) {
		ck_assert(i == 0 || pc[i - 1] < pc[i]);
		ck_assert_ptr_eq(module_find(pc[i], 3), m);
		name_symbol(a, pc[i], &out[i]);
	}
	return table.fails ? -1 : 0;
}

/* ---- asking */

static void write_status(struct text *t)
{
	text_str(t, "listening on 6060\n");
}

static void setup(void)
{
	static const char cmdline[] = "prog\0-a\0b c";
	const struct routes_config config = {
		.version = "1.2.3",
		.cmdline = cmdline,
		.cmdline_len = sizeof(cmdline) - 1,
		.default_hz = 100,
		.write_status = write_status,
	};

	memset(&x, 0, sizeof(x));
	memset(&cpu, 0, sizeof(cpu));
	memset(&table, 0, sizeof(table));
	memset(&dump_fake, 0, sizeof(dump_fake));
	built_samples = 0;
	x.arena.limit = 64UL << 20;
	routes_init(&config);
}

static void teardown(void)
{
	arena_release(&x.arena);
	ck_assert_uint_eq(sys_mapped_bytes(), 0);
}

static struct http_request request;

/* Asks with a line like "GET /path?query" and a body. */
static void ask_with_body(const char *line, const char *body, size_t len)
{
	static char text[16384];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n\r\n", line);
	ck_assert_msg(http_parse(text, strlen(text), &request) == PARSE_OK, "%s", line);
	request.body = (struct http_slice){ body, len };
	routes_serve(&x, &request);
	ck_assert_int_eq(x.answers, 1);
}

static void ask(const char *line)
{
	ask_with_body(line, "", 0);
}

static void expect_text(const char *body)
{
	ck_assert_msg(x.len == strlen(body) && memcmp(x.body, body, x.len) == 0,
		      "'%.*s' is not '%s'", (int)x.len, x.body, body);
}

static bool body_has(const char *text)
{
	return memmem(x.body, x.len, text, strlen(text)) != NULL;
}

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
		ck_assert_str_eq(x.extra, location);
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
	{ "GET /debug/pprof/heap?debug=abc", 200, "file", BINARY, "heap" },
	{ "GET /debug/pprof/heap?debug=1", 200, "text", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/heap?debug=-1", 200, "text", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/allocs?debug=1", 200, "text", "text/plain; charset=utf-8", NULL },
	{ "GET /debug/pprof/heap?seconds=0", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=-1", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=abc", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=1.5", 400, NULL, NULL, NULL },
	{ "GET /debug/pprof/heap?seconds=5&debug=1", 400, NULL, NULL, NULL },
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
	ck_assert(x.begun && x.has_waiter);
	ck_assert_str_eq(x.filename, "allocs-delta");
	x.waiter.due(&x, x.waiter.arg);
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
	ck_assert_int_eq(x.status, 500);
	ck_assert(x.is_error);
	heap_fake.off = false;
}
END_TEST

START_TEST(test_heap__head_takes_no_snapshot)
{
	int before = heap_fake.snapshots;

	ask("HEAD /debug/pprof/heap");
	ck_assert(x.begun && !x.has_waiter);
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
		x.waiter.due(&x, x.waiter.arg);
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
	if (!x.has_waiter)
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
		x.waiter.due(&x, x.waiter.arg);
	x.waiter.gone(x.waiter.arg);
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
	ck_assert(x.begun && !x.has_waiter);
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
	ck_assert(x.begun && x.has_waiter);
	ck_assert_int_eq(contention_fake.wanting_everything, 1);
	x.waiter.due(&x, x.waiter.arg);
	ck_assert(x.finished && !x.aborted);
	ck_assert_int_eq(contention_fake.wanting_everything, 0);
	ck_assert_int_eq(heap_fake.built_bytes, 10);
}
END_TEST

START_TEST(test_contention__a_client_that_goes_away_wants_nothing_any_more)
{
	ask("GET /debug/pprof/block?seconds=5");
	ck_assert_int_eq(contention_fake.wanting_everything, 1);
	x.waiter.gone(x.waiter.arg);
	ck_assert_int_eq(contention_fake.wanting_everything, 0);
}
END_TEST

START_TEST(test_contention__that_is_off_says_so)
{
	contention_fake.off = true;
	ask(_i ? "GET /debug/pprof/block" : "GET /debug/pprof/mutex?seconds=5");
	ck_assert_int_eq(x.status, 500);
	ck_assert_int_eq(contention_fake.wanting_everything, 0);
	contention_fake.off = false;
}
END_TEST

/* ---- pages */

START_TEST(test_index__lists_what_works_with_relative_links)
{
	ask("GET /debug/pprof/");
	ck_assert_str_eq(x.type, "text/html; charset=utf-8");
	ck_assert(body_has("<title>/debug/pprof/</title>"));
	ck_assert(
		body_has("<tr><td>0</td><td><a href=\"profile?seconds=5\">profile</a></td></tr>"));
	ck_assert(body_has("<a href=\"cmdline\">cmdline</a>"));
	ck_assert(body_has("<a href=\"shim\">shim</a>"));
	ck_assert(body_has("<li><b>symbol</b>: "));
	ck_assert(body_has("</html>\n"));
	ck_assert(!body_has("trace"));
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
	{ "?seconds=-1", 30, 100, SYMBOLS_LINES },
	{ "?seconds=abc", 30, 100, SYMBOLS_LINES },
	{ "?seconds=1.5", 30, 100, SYMBOLS_LINES },
	{ "?seconds=99999999999999999999", 30, 100, SYMBOLS_LINES },
	{ "?seconds=3600", 3600, 100, SYMBOLS_LINES },
	{ "?seconds=3601", 3600, 100, SYMBOLS_LINES },
	{ "?seconds=9223372036854775807", 3600, 100, SYMBOLS_LINES },
	{ "?debug=1", 30, 100, SYMBOLS_LINES },
	{ "?unknown=1&seconds=2", 2, 100, SYMBOLS_LINES },
	{ "?hz=250", 30, 250, SYMBOLS_LINES },
	{ "?hz=0", 30, 1, SYMBOLS_LINES },
	{ "?hz=-7", 30, 1, SYMBOLS_LINES },
	{ "?hz=1001", 30, 1000, SYMBOLS_LINES },
	{ "?hz=9223372036854775807", 30, 1000, SYMBOLS_LINES },
	{ "?hz=x", 30, 100, SYMBOLS_LINES },
	{ "?lines=0", 30, 100, SYMBOLS_NAMES },
	{ "?lines=1", 30, 100, SYMBOLS_LINES },
	{ "?lines=no", 30, 100, SYMBOLS_LINES },
};

START_TEST(test_profile__parameters)
{
	const struct parameter_case *c = &parameter_cases[_i];
	char line[128];

	snprintf(line, sizeof(line), "GET /debug/pprof/profile%s", c->query);
	ask(line);
	ck_assert(x.begun && x.has_waiter);
	ck_assert_int_eq(x.waiter.due_ns, START_NS + c->seconds * NS_PER_SECOND);
	ck_assert_int_eq(cpu.hz, c->hz);
	x.waiter.due(&x, x.waiter.arg);
	ck_assert_int_eq(cpu.detail, c->detail);
}
END_TEST

START_TEST(test_profile__is_built_when_due)
{
	ask("GET /debug/pprof/profile?hz=50");
	ck_assert_str_eq(x.type, "application/octet-stream");
	ck_assert_str_eq(x.filename, "profile");
	ck_assert_int_eq(cpu.stopped, 0);
	x.waiter.due(&x, x.waiter.arg);
	ck_assert(x.finished && !x.aborted);
	expect_text("gzip");
	ck_assert_int_eq(cpu.stopped, 1);
	ck_assert_int_eq(cpu.freed, 1);
}
END_TEST

START_TEST(test_profile__says_what_it_measures)
{
	ask("GET /debug/pprof/profile?hz=50");
	x.waiter.due(&x, x.waiter.arg);
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
	x.waiter.due(&x, x.waiter.arg);
	ck_assert(x.aborted && !x.finished);
	ck_assert_int_eq(cpu.freed, 1);
}
END_TEST

START_TEST(test_profile__ends_when_the_client_goes)
{
	ask("GET /debug/pprof/profile");
	x.waiter.gone(x.waiter.arg);
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

START_TEST(test_profile__head_request_starts_nothing)
{
	ask("HEAD /debug/pprof/profile");
	ck_assert_int_eq(x.status, 200);
	ck_assert(x.begun && !x.has_waiter);
	ck_assert_str_eq(x.filename, "profile");
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

#define ADD_TABLE(t, test, table) tcase_add_loop_test(t, test, 0, ARRAY_SIZE(table))

static void add_page_tests(TCase *t)
{
	ADD_TABLE(t, test_routes__paths, path_cases);
	tcase_add_test(t, test_routes__long_paths_are_not_found);
	tcase_add_test(t, test_routes__error_texts);
	tcase_add_test(t, test_routes__allowed_methods_are_named);
	tcase_add_test(t, test_routes__only_symbol_takes_a_body);
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
	tcase_add_test(t, test_index__lists_what_works_with_relative_links);
	tcase_add_test(t, test_cmdline__is_joined_by_nul);
	tcase_add_test(t, test_shim__shows_state_and_every_counter);
	tcase_add_test(t, test_shim__status_is_optional);
}

static void add_profile_tests(TCase *t)
{
	ADD_TABLE(t, test_profile__parameters, parameter_cases);
	tcase_add_test(t, test_profile__is_built_when_due);
	tcase_add_test(t, test_profile__says_what_it_measures);
	tcase_add_test(t, test_profile__that_cannot_be_built_is_aborted);
	tcase_add_test(t, test_profile__ends_when_the_client_goes);
	tcase_add_test(t, test_profile__says_why_it_cannot_start);
	tcase_add_test(t, test_profile__without_memory_does_not_start);
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

static void add_case(Suite *s, const char *name, void (*add)(TCase *))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, teardown);
	add(t);
	suite_add_tcase(s, t);
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
