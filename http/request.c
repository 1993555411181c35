#include "http/request.h"

#include <string.h>

#include "sampler/base/counters.h"

/* A browser asks once without the key, a person mistypes it; a pipeline of these is cut off. */
#define REFUSALS_MAX 4
#define DRAIN_MAX    (64UL << 10) /* a body that nobody asked for is read up to this */

static void refuse(struct http_exchange *x, int status, const char *message, const char *extra)
{
	x->keep = false;
	http_error_extra(x, status, message, extra);
	conn_flush(x);
}

void request_refuse(struct http_exchange *x, int status, const char *message)
{
	refuse(x, status, message, NULL);
}

static void refuse_bad(struct http_exchange *x, int status, const char *message)
{
	counter_add(COUNTER_HTTP_BAD_REQUESTS, 1);
	refuse(x, status, message, NULL);
}

/* A service that neither answered nor began to is wrong; the client need not wait for that. */
static void serve_request(struct http_exchange *x, const struct http_request *r)
{
	conn_set_state(x, CONN_SERVING);
	x->shared->service->serve(x, r);
	if (x->state == CONN_SERVING)
		http_error(x, 500, "No answer was made.");
	conn_flush(x);
}

static bool wants_keep(const struct http_request *r)
{
	const struct http_slice *connection = http_header(r, "Connection");

	if (r->minor_version == 0)
		return connection && slice_lists(*connection, "keep-alive");
	return !connection || !slice_lists(*connection, "close");
}

static void serve_and_close(struct http_exchange *x, const struct http_request *r)
{
	x->keep = false;
	serve_request(x, r);
}

/* The body is complete: its head still stands in `in` and is read again. */
static void serve_with_body(struct http_exchange *x)
{
	struct http_request r;

	if (http_parse(x->in, x->head_bytes, &r) != PARSE_OK) {
		refuse_bad(x, 400, "Malformed request.");
		return;
	}
	if (x->body.keep)
		r.body = (struct http_slice){ x->body.at, x->body.len };
	serve_request(x, &r);
}

static void body_too_large(struct http_exchange *x)
{
	struct http_request r;

	if (x->body.keep || http_parse(x->in, x->head_bytes, &r) != PARSE_OK)
		refuse_bad(x, 413, "The body is too large.");
	else
		serve_and_close(x, &r);
}

static void move_behind_head(struct http_exchange *x, size_t used)
{
	char *body = x->in + x->head_bytes;

	x->in_len -= used;
	memmove(body, body + used, x->in_len - x->head_bytes);
}

static void want_more_body(struct http_exchange *x)
{
	if (x->ended)
		conn_close(x);
}

static void advance_body(struct http_exchange *x)
{
	const char *bytes = x->in + x->head_bytes;
	size_t used;
	enum body_result result;

	result = body_feed(&x->body, &x->arena, bytes, x->in_len - x->head_bytes, &used);
	move_behind_head(x, used);
	if (result == BODY_DONE)
		serve_with_body(x);
	else if (result == BODY_MORE)
		want_more_body(x);
	else if (result == BODY_TOO_LARGE)
		body_too_large(x);
	else if (result == BODY_NO_MEMORY)
		request_refuse(x, 500, "Out of memory.");
	else
		refuse_bad(x, 400, "Malformed chunks.");
}

static void begin_body(struct http_exchange *x)
{
	conn_set_state(x, CONN_BODY);
	conn_allow(x, x->shared->limits->stall_ns);
	advance_body(x);
}

/* The client waits for our word before it sends the body, unless it did not wait. */
static void invite_body(struct http_exchange *x)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (x->in_len == x->head_bytes)
		conn_queue(x, go_on, sizeof(go_on) - 1);
	begin_body(x);
	if (x->state == CONN_BODY)
		conn_flush(x);
}

static bool is_known_too_large(const struct body *b)
{
	return b->kind == BODY_LENGTH && b->left > b->limit;
}

static size_t wanted_body(const struct http_exchange *x, const struct http_request *r)
{
	const struct http_service *s = x->shared->service;

	return s->body_limit ? s->body_limit(r) : 0;
}

/*
 * A body that nobody wants is dropped when it is small; a large one, or one that
 * waits for an invitation, is never read: the answer comes at once and is the last.
 */
static void accept_body(struct http_exchange *x, const struct http_request *r, bool waits)
{
	size_t wanted = wanted_body(x, r);

	x->body.keep = wanted > 0;
	x->body.limit = wanted ? wanted : DRAIN_MAX;
	if (wanted && is_known_too_large(&x->body))
		refuse_bad(x, 413, "The body is too large.");
	else if (!wanted && (waits || is_known_too_large(&x->body)))
		serve_and_close(x, r);
	else if (waits)
		invite_body(x);
	else
		begin_body(x);
}

/* An HTTP/1.0 client cannot know the interim answer, so its wish is not heard. */
static bool waits_for_invitation(const struct http_request *r, const struct http_slice *expect)
{
	return expect && r->minor_version > 0;
}

static void accept_authorized(struct http_exchange *x, const struct http_request *r, int framing)
{
	const struct http_slice *expect = http_header(r, "Expect");

	if (framing == 501)
		refuse_bad(x, 501, "The only transfer encoding understood here is chunked.");
	else if (framing)
		refuse_bad(x, framing, "The length of the body is not clear.");
	else if (expect && !slice_equals_nocase(*expect, "100-continue"))
		refuse_bad(x, 417, "The only expectation understood here is 100-continue.");
	else if (x->body.kind == BODY_NONE)
		serve_request(x, r);
	else
		accept_body(x, r, waits_for_invitation(r, expect));
}

static const struct guard_refusal *check(struct http_exchange *x, const struct http_request *r)
{
	if (x->trusted)
		return NULL;
	return x->needs_no_key ? guard_check_place(r)
			       : guard_check(&x->shared->guard, r, x->shared->now_ns);
}

/* The guard comes first: before it agrees, nothing else about a request matters. */
static void accept_request(struct http_exchange *x, const struct http_request *r)
{
	int framing = body_framing(r, &x->body);
	const struct guard_refusal *no;

	x->minor_version = r->minor_version;
	x->head_only = slice_equals(r->method, "HEAD");
	x->head_bytes = r->head_bytes;
	x->keep = wants_keep(r);
	no = check(x, r);
	x->known = !no;
	x->refusals = no ? x->refusals + 1 : 0;
	if (!no) {
		accept_authorized(x, r, framing);
		return;
	}
	if (x->shared->is_crowded) { /* to answer each of a crowd would take the time of others */
		counter_add(COUNTER_HTTP_STRANGERS_EVICTED, 1);
		x->reset = true;
		conn_close(x);
		return;
	}
	if (framing || x->body.kind != BODY_NONE || no->status == 400 ||
	    x->refusals >= REFUSALS_MAX)
		x->keep = false;
	http_error_extra(x, no->status, no->message, no->extra);
	conn_flush(x);
}

static void want_more_head(struct http_exchange *x)
{
	if (x->in_len >= CONN_HEAD_MAX)
		refuse_bad(x, 431, "The head of the request is larger than 8 KiB.");
	else if (x->ended)
		conn_close(x);
}

/* Answers to what could not be read are in our own version, and with a body. */
static void forget_request(struct http_exchange *x)
{
	x->minor_version = 1;
	x->head_only = false;
	x->head_bytes = 0;
}

static void advance_head(struct http_exchange *x)
{
	struct http_request r;
	enum parse_result result = http_parse(x->in, x->in_len, &r);

	forget_request(x);
	if (result == PARSE_MORE)
		want_more_head(x);
	else if (result == PARSE_BAD)
		refuse_bad(x, 400, "Malformed request.");
	else if (r.head_bytes > CONN_HEAD_MAX)
		refuse_bad(x, 431, "The head of the request is larger than 8 KiB.");
	else
		accept_request(x, &r);
}

void request_advance(struct http_exchange *x)
{
	x->ready = false;
	if (x->state == CONN_HEAD)
		advance_head(x);
	else if (x->state == CONN_BODY)
		advance_body(x);
}

void request_due(struct http_exchange *x)
{
	struct http_pending w = x->pending;

	conn_set_state(x, CONN_SERVING);
	w.due(x, w.arg);
	if (x->state == CONN_SERVING)
		http_abort(x);
	conn_flush(x);
}

static void too_slow(struct http_exchange *x)
{
	counter_add(COUNTER_HTTP_TIMED_OUT, 1);
	if (x->state != CONN_HEAD && x->state != CONN_BODY) {
		x->reset = true;
		conn_close(x);
		return;
	}
	if (x->state == CONN_HEAD)
		forget_request(x);
	request_refuse(x, 408, "The request took too long to arrive.");
}

void request_expired(struct http_exchange *x)
{
	if (x->state == CONN_LINGERING || conn_is_idle(x))
		conn_expired(x);
	else
		too_slow(x);
}
