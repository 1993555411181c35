/*
 * The server, the sampler, the profile builder and the symbol tables as tests of
 * the routes need them: fakes, so that nothing is sent or sampled.  An exchange
 * here just notes what it was told.
 */
#ifndef TEST_FAKE_ROUTES_H
#define TEST_FAKE_ROUTES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/handlers.h"
#include "http/routes.h"
#include "http/tree_profile.h"
#include "proto/build.h"
#include "proto/contention_text.h"
#include "proto/heap_text.h"
#include "proto/share.h"
#include "proto/trim.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/cpu.h"
#include "sampler/heap/heap.h"
#include "sampler/locks/contention.h"
#include "sampler/process/modules.h"
#include "sampler/symbols/bindings.h"
#include "sampler/symbols/symbols.h"
#include "sampler/threads/births.h"
#include "sampler/threads/dump.h"
#include "sampler/unwind/code.h"
#include "sampler/wall/spread.h"
#include "sampler/wall/wall.h"

/* ---- fake server */

struct http_exchange {
	struct arena arena;
	int answers;
	int status;
	bool is_error; /* in Go's error form */
	bool begun, has_pending, finished, aborted;
	int again; /* times that a waiter asked for more time */
	struct http_pending pending;
	const char *type, *filename; /* of a file only what it is of: "heap" */
	char kind[64], extra[1024];
	const char *body;
	size_t len;
};

static struct http_exchange x;
static bool is_hurried;

bool http_is_hurried(const struct http_exchange *e)
{
	(void)e;
	return is_hurried;
}

bool http_is_trusted(const struct http_exchange *e)
{
	(void)e;
	return false;
}

/* ---- fake tree: this process is alone */

bool tree_is_asked(const struct http_exchange *e, const struct tree_query *q)
{
	(void)e, (void)q;
	return false;
}

bool tree_has_asked(const struct http_exchange *e, const struct tree_query *q)
{
	(void)e;
	return q->pid_count == 0;
}

bool tree_was_called(void)
{
	return false;
}

bool tree_may_come(const struct http_exchange *e, const struct tree_query *q)
{
	(void)e, (void)q;
	return false;
}

struct tree_profile *tree_profile_begin(struct arena *a, const char *name, const struct params *p,
					int64_t end_ns, int64_t patience_ns)
{
	(void)a, (void)name, (void)p, (void)end_ns, (void)patience_ns;
	ck_abort();
	return NULL;
}

void tree_profile_use_clocks(struct tree_profile *p)
{
	(void)p;
}

int64_t tree_profile_look(struct tree_profile *p, bool hurry)
{
	(void)p, (void)hurry;
	return 0;
}

int64_t tree_profile_read_sites(struct tree_profile *p, struct arena *a,
				const struct other_sites_kind *kind, uint32_t values,
				int64_t patience_ns)
{
	(void)p, (void)a, (void)kind, (void)values, (void)patience_ns;
	return 0;
}

const struct stack_table *tree_profile_merge(struct tree_profile *p, struct arena *a,
					     const struct stack_table *own,
					     const struct owner_table *own_owners,
					     struct profile_head *head)
{
	(void)p, (void)a, (void)own_owners, (void)head;
	return own;
}

int tree_profile_join_texts(struct tree_profile *p, struct arena *a, struct bytes own,
			    struct bytes *out)
{
	(void)p, (void)a;
	*out = own;
	return 0;
}

void tree_profile_end(struct tree_profile *p)
{
	(void)p;
}

void tree_keep_open(struct tree_request *t)
{
	(void)t;
}

void tree_close(struct tree_request *t)
{
	(void)t;
}

bool other_shim(struct http_exchange *e, const struct http_request *r)
{
	(void)e, (void)r;
	return false;
}

uint32_t share_place_of(const char *process)
{
	(void)process;
	return 0;
}

int share_write(struct arena *a, const struct share_head *head, const struct stack_table *stacks,
		const struct owner_table *owners, struct bytes *out)
{
	(void)a, (void)head, (void)stacks, (void)owners, (void)out;
	return -1;
}

struct arena *http_arena(struct http_exchange *e)
{
	return &e->arena;
}

/* prog-PID-KIND-20261129T0710Z.pb.gz */
static inline const char *kind_of(struct http_exchange *e, const char *filename)
{
	int pid, end = 0;

	if (!filename)
		return NULL;
	if (sscanf(filename, "prog-%d-%63[a-z-]%*8[0-9]T%*4[0-9]Z.pb.gz%n", &pid, e->kind, &end) !=
		    2 ||
	    filename[end] || pid != getpid())
		return filename;
	e->kind[strlen(e->kind) - 1] = '\0';
	return e->kind;
}

static inline void note_head(struct http_exchange *e, const struct http_response *r)
{
	e->answers++;
	e->status = r->status;
	e->type = r->content_type ? r->content_type : "text/plain; charset=utf-8";
	e->filename = kind_of(e, r->filename);
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

void http_begin(struct http_exchange *e, const struct http_response *r,
		const struct http_pending *w)
{
	note_head(e, r);
	e->begun = true;
	e->has_pending = w != NULL;
	if (w)
		e->pending = *w;
}

void http_finish(struct http_exchange *e, const void *body, size_t len)
{
	e->finished = true;
	e->body = body;
	e->len = len;
}

bool http_part(struct http_exchange *e, const void *body, size_t len)
{
	(void)e, (void)body;
	return len != 0;
}

void http_again(struct http_exchange *e, int64_t due_ns)
{
	e->again++;
	e->pending.due_ns = due_ns;
}

static const char *hastened; /* the id that is waited with; NULL: nobody waits */

size_t http_hasten(struct http_exchange *e, const char *id)
{
	(void)e;
	return hastened && strcmp(id, hastened) == 0;
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

void cpu_profile_include_children(struct cpu_profile *p, int64_t until_ns)
{
	p->children_until_ns = until_ns;
}

struct nursery_counts cpu_profile_children(const struct cpu_profile *p)
{
	(void)p;
	return (struct nursery_counts){ 0 };
}

const char *cpu_refusal(void)
{
	return cpu.why_not;
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

/* ---- fake wall-clock profile */

static struct {
	const char *why_not;
	int hz, steps, stopped, freed;
} wall;

struct wall_profile *wall_start(int hz, int cpu_hz, const char **why)
{
	(void)cpu_hz;
	wall.hz = hz;
	*why = wall.why_not;
	return wall.why_not ? NULL : (struct wall_profile *)&wall;
}

int64_t wall_step(struct wall_profile *w)
{
	(void)w;
	wall.steps++;
	return sys_now_ns() + 10 * NS_PER_MS;
}

void wall_stop(struct wall_profile *w)
{
	(void)w;
	wall.stopped++;
}

void wall_free(struct wall_profile *w)
{
	(void)w;
	wall.freed++;
}

/* 2 s of a thread that ran, 4 s of one that was blocked. */
void wall_each(struct wall_profile *w, void (*fn)(void *arg, const struct wall_part *part),
	       void *arg)
{
	static const uint64_t frame = 0x1234000;

	(void)w;
	fn(arg,
	   &(struct wall_part){ &frame, 1, 2 * NS_PER_SECOND, 7, "runs", WALL_RUNNING, "", false });
	fn(arg, &(struct wall_part){ &frame, 1, 4 * NS_PER_SECOND, 8, "waits", WALL_BLOCKED, "poll",
				     true });
}

struct wall_summary wall_summary(const struct wall_profile *w)
{
	(void)w;
	return (struct wall_summary){ .start_epoch_ns = 1234,
				      .duration_ns = 4 * NS_PER_SECOND,
				      .period_ns = NS_PER_SECOND / 20,
				      .life_ns = 8 * NS_PER_SECOND,
				      .unsampled_ns = 2 * NS_PER_SECOND,
				      .known = 50 };
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

unsigned heap_unseen(void)
{
	return 0;
}

void heap_snapshot_older(struct stack_table *t, bool own, int64_t seconds, bool ages)
{
	const uint64_t pc = 0x1010;

	(void)seconds;
	heap_snapshot(t, own);
	if (ages)
		stack_table_add_labelled(t, &pc, 1, 7)->value[HEAP_VALUE_INUSE_BYTES] = 64;
}

/* There is nobody else. */
const struct other_sites_kind heap_of_other, block_of_other, mutex_of_other;

struct other_sites *other_sites_begin(int pid, const struct other_sites_kind *kind,
				      uint32_t nowhere)
{
	(void)pid, (void)kind, (void)nowhere;
	return NULL;
}

bool other_sites_step(struct other_sites *o)
{
	(void)o;
	return false;
}

void other_sites_free(struct other_sites *o)
{
	(void)o;
}

void heap_snapshot_peak(struct stack_table *t, struct heap_peak *found)
{
	*found = (struct heap_peak){ 1, 1 };
	heap_snapshot(t, false);
}

void heap_snapshot(struct stack_table *t, bool own)
{
	static const uint64_t pc = 0x1010;
	struct stack *s = stack_table_add(t, &pc, 1);

	(void)own;
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

void block_everything_begin(void)
{
	contention_fake.wanting_everything++;
}

void block_everything_end(void)
{
	contention_fake.wanting_everything--;
}

void mutex_everything_begin(void)
{
	contention_fake.wanting_everything++;
}

void mutex_everything_end(void)
{
	contention_fake.wanting_everything--;
}

void block_snapshot(struct stack_table *t, bool own)
{
	(void)own;
	static const uint64_t pc = 0x1010;
	struct stack *s = stack_table_add(t, &pc, 1);

	s->value[HEAP_VALUE_INUSE_BYTES] = 100 + 10 * contention_fake.snapshots++;
}

void mutex_snapshot(struct stack_table *t, bool own)
{
	block_snapshot(t, own);
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
	*out = (struct message){ .sample_type_count = head->sample_type_count,
				 .default_sample_type = head->default_sample_type };
	memcpy(out->sample_type, head->sample_type, sizeof(out->sample_type));
	heap_fake.head = *head;
	heap_fake.built_bytes = t->count ? t->list[0]->value[HEAP_VALUE_INUSE_BYTES] : 0;
	return 0;
}

void trim_operator_new(struct arena *a, struct message *m)
{
	(void)a, (void)m;
}

void trim_cancellable_call(struct arena *a, struct message *m)
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
	stack_table_add(&d->stacks, &pc, 1)->value[0] = 2;
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

bool dump_of_others_begin(void)
{
	return false; /* there are no others */
}

struct dump *dump_of_other(int pid)
{
	(void)pid;
	return NULL;
}

bool dump_of_other_step(struct dump *d)
{
	(void)d;
	return false;
}

void dump_of_other_stop(struct dump *d)
{
	(void)d;
}

void dump_of_others_end(void)
{
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
	*out = (struct message){ .sample_type = { head->sample_type[0] },
				 .sample_type_count = 1,
				 .default_sample_type = "",
				 .sample = &sample,
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

	stack_table_add(t, &pc, 1)->value[0] = 3 + births_snapshots++;
}

/* ---- fake modules: 0x1000..0x1fff is module 0, 0x3000..0x3fff is module 1 */

static struct {
	struct module module[2];
	int refreshed, batches;
	bool fails;
} table;

size_t bindings_past_us(const char *const *names, size_t name_count, const struct module **out,
			size_t max)
{
	(void)names, (void)name_count, (void)out, (void)max;
	return 0;
}

bool code_refresh(void)
{
	table.refreshed++;
	return false;
}

const struct module *module_find(uint64_t pc)
{
	if (pc >> 12 == 1)
		return &table.module[0];
	return pc >> 12 == 3 ? &table.module[1] : NULL;
}

/* Names are like "f1010"; each address has an inlined frame in front of its function. */
static inline void name_symbol(struct arena *a, uint64_t pc, struct symbol *out)
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
		ck_assert_ptr_eq(module_find(pc[i]), m);
		name_symbol(a, pc[i], &out[i]);
	}
	return table.fails ? -1 : 0;
}

/* ---- asking */

static inline void write_status(struct text *t)
{
	text_str(t, "listening on 6060\n");
}

static inline void setup(void)
{
	static const char cmdline[] = "prog\0-a\0b c";
	const struct routes_config config = {
		.version = "1.2.3",
		.program = "/usr/bin/prog",
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

static inline void teardown(void)
{
	arena_release(&x.arena);
	ck_assert_uint_eq(sys_mapped_bytes(), 0);
}

static struct http_request request;

/* Asks with a line like "GET /path?query", whole lines of headers and a body. */
static inline void ask_all(const char *line, const char *headers, const char *body, size_t len)
{
	static char text[16384];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n", line, headers);
	ck_assert_msg(http_parse(text, strlen(text), &request) == PARSE_OK, "%s", line);
	request.body = (struct http_slice){ body, len };
	routes_serve(&x, &request);
	ck_assert_int_eq(x.answers, 1);
}

static inline void ask_with_body(const char *line, const char *body, size_t len)
{
	ask_all(line, "", body, len);
}

static inline void ask_with(const char *line, const char *headers)
{
	ask_all(line, headers, "", 0);
}

static inline void ask(const char *line)
{
	ask_with_body(line, "", 0);
}

static inline void expect_text(const char *body)
{
	ck_assert_msg(x.len == strlen(body) && memcmp(x.body, body, x.len) == 0,
		      "'%.*s' is not '%s'", (int)x.len, x.body, body);
}

static inline bool body_has(const char *text)
{
	return memmem(x.body, x.len, text, strlen(text)) != NULL;
}

#define ADD_TABLE(t, test, table) tcase_add_loop_test(t, test, 0, ARRAY_SIZE(table))

static inline void add_case(Suite *s, const char *name, void (*add)(TCase *))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, teardown);
	add(t);
	suite_add_tcase(s, t);
}

#endif
