/* The calls with which a request is answered: they write heads and queue bytes. */
#include <string.h>

#include "http/conn.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/text.h"

#define LINE_END "\r\n"

struct reason {
	int status;
	const char *phrase;
};

static const struct reason reasons[] = {
	{ 200, "OK" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 413, "Content Too Large" },
	{ 417, "Expectation Failed" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].phrase;
	return "Unknown";
}

bool http_is_trusted(const struct http_exchange *x)
{
	return x->trusted;
}

bool http_is_hurried(const struct http_exchange *x)
{
	const volatile int *hurry = x->shared->service->hurry;

	return x->hurried || (hurry && *hurry);
}

struct arena *http_arena(struct http_exchange *x)
{
	return &x->arena;
}

static void line(struct text *t, const char *name, const char *value)
{
	text_str(t, name);
	text_str(t, value);
	text_str(t, LINE_END);
}

static void status_line(struct text *t, const struct http_exchange *x, int status)
{
	text_str(t, x->minor_version ? "HTTP/1.1 " : "HTTP/1.0 ");
	text_u64(t, (uint64_t)status);
	line(t, " ", reason_of(status));
}

static void start_head(struct text *t, struct http_exchange *x, const struct http_response *r)
{
	counter_add(COUNTER_HTTP_REQUESTS, 1);
	status_line(t, x, r->status);
	line(t, "Content-Type: ", r->content_type ? r->content_type : "text/plain; charset=utf-8");
	if (r->filename) {
		text_str(t, "Content-Disposition: attachment; filename=\"");
		line(t, r->filename, "\"");
	}
	line(t, "X-Content-Type-Options: ", "nosniff");
	line(t, "Cache-Control: ", "no-store");
	line(t, "Server: ", "pprofshim");
}

static void content_length(struct text *t, size_t len)
{
	text_str(t, "Content-Length: ");
	text_u64(t, len);
	text_str(t, LINE_END);
}

/* Ends the head and queues it with `extra`, which may be longer than our buffer. */
static void queue_head(struct http_exchange *x, struct text *t, const char *extra)
{
	if (!x->keep)
		line(t, "Connection: ", "close");
	else if (x->minor_version == 0)
		line(t, "Connection: ", "keep-alive");
	conn_queue(x, t->at, t->len);
	if (extra)
		conn_queue(x, extra, strlen(extra));
	conn_queue(x, LINE_END, strlen(LINE_END));
}

static void queue_body(struct http_exchange *x, const void *bytes, size_t len)
{
	if (!x->head_only)
		conn_queue(x, bytes, len);
}

static void enter_state(struct http_exchange *x, enum conn_state state)
{
	conn_set_state(x, state);
	conn_allow(x, x->shared->limits->stall_ns);
}

void http_respond(struct http_exchange *x, const struct http_response *r)
{
	struct text t = TEXT_INIT(x->head);

	start_head(&t, x, r);
	content_length(&t, r->body_len);
	queue_head(x, &t, r->extra);
	queue_body(x, r->body, r->body_len);
	enter_state(x, CONN_SENDING);
}

void http_error_extra(struct http_exchange *x, int status, const char *message, const char *extra)
{
	const struct http_response r = { .status = status };
	struct text t = TEXT_INIT(x->head);

	start_head(&t, x, &r);
	line(&t, "X-Go-Pprof: ", "1");
	content_length(&t, strlen(message) + 1);
	queue_head(x, &t, extra);
	queue_body(x, message, strlen(message));
	queue_body(x, "\n", 1);
	enter_state(x, CONN_SENDING);
}

void http_error(struct http_exchange *x, int status, const char *message)
{
	http_error_extra(x, status, message, NULL);
}

/* Without a length, an HTTP/1.0 answer ends where the connection does. */
static void open_ended(struct http_exchange *x, struct text *t)
{
	if (x->minor_version)
		line(t, "Transfer-Encoding: ", "chunked");
	else
		x->keep = false;
}

static void skip_waiting(struct http_exchange *x, const struct http_pending *w)
{
	if (w && w->gone)
		w->gone(w->arg);
	enter_state(x, CONN_SENDING);
}

void http_begin(struct http_exchange *x, const struct http_response *r,
		const struct http_pending *w)
{
	struct text t = TEXT_INIT(x->head);

	start_head(&t, x, r);
	open_ended(x, &t);
	queue_head(x, &t, r->extra);
	if (x->head_only || !w) {
		skip_waiting(x, w);
		return;
	}
	x->pending = *w;
	x->hurried = false;
	enter_state(x, CONN_WAITING);
}

static void queue_chunk(struct http_exchange *x, const void *body, size_t len)
{
	struct text t = TEXT_INIT(x->chunk_line);

	text_hex(&t, len);
	text_str(&t, LINE_END);
	conn_queue(x, t.at, t.len);
	conn_queue(x, body, len);
	conn_queue(x, LINE_END, strlen(LINE_END));
}

void http_finish(struct http_exchange *x, const void *body, size_t len)
{
	static const char last_chunk[] = "0\r\n\r\n";

	if (x->minor_version == 0) {
		conn_queue(x, body, len);
	} else {
		if (len)
			queue_chunk(x, body, len);
		conn_queue(x, last_chunk, strlen(last_chunk));
	}
	enter_state(x, CONN_SENDING);
}

bool http_part(struct http_exchange *x, const void *body, size_t len)
{
	if (x->minor_version == 0 || x->part_count || !len)
		return false;
	queue_chunk(x, body, len);
	return true;
}

void http_again(struct http_exchange *x, int64_t due_ns)
{
	x->pending.due_ns = due_ns;
	enter_state(x, CONN_WAITING);
}

/* In HTTP/1.0 only a reset tells a broken body from a complete one. */
void http_abort(struct http_exchange *x)
{
	x->keep = false;
	x->reset = x->minor_version == 0;
	enter_state(x, CONN_SENDING);
}
