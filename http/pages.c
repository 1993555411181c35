/* Small pages: command line, state of the shim, what there is none of. */
#include <string.h>

#include "http/handlers.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"

#define PAGE_BYTES_MAX (32UL << 10)

/* A page under construction; at is NULL without memory. */
static struct text page_begin(struct http_exchange *x)
{
	return (struct text){ .at = arena_alloc(http_arena(x), PAGE_BYTES_MAX),
			      .size = PAGE_BYTES_MAX };
}

static void page_send(struct http_exchange *x, const struct text *t, const char *type)
{
	const struct http_response r = {
		.status = 200,
		.content_type = type,
		.body = t->at,
		.body_len = t->len,
	};

	http_respond(x, &r);
}

void cmdline_route(struct http_exchange *x, const struct http_request *r)
{
	const struct http_response answer = {
		.status = 200,
		.body = routes_config()->cmdline,
		.body_len = routes_config()->cmdline_len,
	};

	(void)r;
	http_respond(x, &answer);
}

static void write_counter(struct text *t, enum counter i, uint64_t value)
{
	text_str(t, counter_texts[i].name);
	text_char(t, ' ');
	text_u64(t, value);
	text_str(t, "  # ");
	text_str(t, counter_texts[i].meaning);
	text_char(t, '\n');
}

/* Those that have counted come first.  Read once, so that each has one line. */
static void write_counters(struct text *t)
{
	uint64_t value[COUNTER_COUNT];

	for (int i = 0; i < COUNTER_COUNT; i++)
		value[i] = counter_get((enum counter)i);
	for (int i = 0; i < COUNTER_COUNT; i++)
		if (value[i])
			write_counter(t, (enum counter)i, value[i]);
	for (int i = 0; i < COUNTER_COUNT; i++)
		if (!value[i])
			write_counter(t, (enum counter)i, 0);
}

static void write_memory(struct text *t)
{
	text_str(t, "mapped_bytes ");
	text_u64(t, sys_mapped_bytes());
	text_str(t, "  # addresses of the profiler now, most of them never touched: not its RSS\n");
}

void shim_route(struct http_exchange *x, const struct http_request *r)
{
	struct text t;

	if (other_shim(x, r))
		return;
	t = page_begin(x);
	if (!t.at) {
		http_error(x, 500, "Out of memory.");
		return;
	}
	text_str(&t, "pprofshim ");
	text_str(&t, routes_config()->version);
	text_char(&t, '\n');
	if (routes_config()->write_status)
		routes_config()->write_status(&t);
	write_counters(&t);
	write_memory(&t);
	page_send(x, &t, NULL);
}

/* Its format is that of one runtime's scheduler events; there are none here. */
void trace_route(struct http_exchange *x, const struct http_request *r)
{
	(void)r;
	http_error(x, 501,
		   "Execution traces exist for Go programs only. "
		   "The CPU profile of this program is at /debug/pprof/profile");
}
