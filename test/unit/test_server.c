/*
 * The server over real sockets: http_serve() runs in a thread of the test, with
 * a service made of small fakes.  Nothing here depends on how long something
 * takes: each test waits for the event itself, and PATIENCE_S only bounds how long
 * a failure takes to show.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"
#include "sampler/counters.h"
#include "sampler/sys.h"
#include "shim/cc.h"

#define PATIENCE_S 20
#define BIG_BYTES  (8UL << 20) /* more than the buffers of two sockets hold */
#define ECHO_MAX   (4UL << 20)

#define AUTH	  "Host: localhost\r\nAuthorization: Bearer key\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" AUTH "\r\n"

/* ---- the service */

static struct {
	int fd;
	struct sockaddr_in at;
	pthread_t thread;
	volatile int stop;
	struct http_limits limits;
	struct http_service service;
	sem_t gone, began;
	atomic_int ticks, due_calls;
	char *big;
} server;

static void on_gone(void *arg)
{
	(void)arg;
	sem_post(&server.gone);
}

#define SLICES 100

static void on_due(struct http_exchange *x, void *arg)
{
	const char *end = arg;
	int calls = atomic_fetch_add(&server.due_calls, 1);

	if (strcmp(end, "slices") == 0 && calls < SLICES)
		http_again(x, 0);
	else if (strcmp(end, "for ever") == 0)
		http_again(x, 0);
	else if (strcmp(end, "finish") == 0 || strcmp(end, "slices") == 0)
		http_finish(x, "finished", 8);
	else if (strcmp(end, "empty") == 0)
		http_finish(x, NULL, 0);
	else if (strcmp(end, "abort") == 0)
		http_abort(x);
}

static const struct http_response file_head = {
	.status = 200,
	.content_type = "application/octet-stream",
	.filename = "file",
};

static void begin(struct http_exchange *x, int64_t due_ns, const char *end)
{
	struct http_waiter w = { due_ns, (void *)(uintptr_t)end, on_due, on_gone };

	http_begin(x, &file_head, &w);
	sem_post(&server.began);
}

static void respond(struct http_exchange *x, const void *body, size_t len)
{
	struct http_response r = { .status = 200, .body = body, .body_len = len };

	http_respond(x, &r);
}

static void fake_serve(struct http_exchange *x, const struct http_request *r)
{
	char path[32];

	http_decode(r->path, false, path, sizeof(path));
	if (strcmp(path, "/echo") == 0)
		respond(x, r->body.at, r->body.len);
	else if (strcmp(path, "/big") == 0)
		respond(x, server.big, BIG_BYTES);
	else if (strcmp(path, "/wait") == 0)
		begin(x, INT64_MAX, "");
	else if (strcmp(path, "/soon/finish") == 0)
		begin(x, 0, "finish");
	else if (strcmp(path, "/slices") == 0)
		begin(x, 0, "slices");
	else if (strcmp(path, "/for-ever") == 0)
		begin(x, 0, "for ever");
	else if (strcmp(path, "/soon/empty") == 0)
		begin(x, 0, "empty");
	else if (strcmp(path, "/soon/abort") == 0)
		begin(x, 0, "abort");
	else if (strcmp(path, "/soon/nothing") == 0)
		begin(x, 0, "");
	else if (strcmp(path, "/error") == 0)
		http_error(x, 404, "no such thing");
	else if (strcmp(path, "/silent") != 0)
		respond(x, r->path.at, r->path.len);
}

static int64_t fake_tick(int64_t now_ns)
{
	(void)now_ns;
	atomic_fetch_add(&server.ticks, 1);
	return INT64_MAX;
}

static size_t fake_body_limit(const struct http_request *r)
{
	return slice_equals(r->path, "/echo") ? ECHO_MAX : 0;
}

static void *run(void *arg)
{
	(void)arg;
	http_serve(server.fd, "key", &server.service, &server.stop);
	return NULL;
}

static void start(void)
{
	socklen_t len = sizeof(server.at);

	server.fd = http_listen(0);
	ck_assert_int_ge(server.fd, 0);
	getsockname(server.fd, (struct sockaddr *)&server.at, &len);
	ck_assert_int_eq(pthread_create(&server.thread, NULL, run, NULL), 0);
}

static void setup(void)
{
	server.limits = http_limits_default;
	server.service =
		(struct http_service){ fake_serve, fake_tick, fake_body_limit, &server.limits, 0 };
	server.big = calloc(1, BIG_BYTES);
	sem_init(&server.gone, 0, 0);
	sem_init(&server.began, 0, 0);
	start();
}

static void teardown(void)
{
	server.stop = 1;
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	ck_assert_msg(sys_mapped_bytes() == 0, "memory is left: %zu", sys_mapped_bytes());
	free(server.big);
}

/* ---- the client */

static int dial(void)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&server.at, sizeof(server.at)), 0);
	return fd;
}

static void say_bytes(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		ck_assert_msg(n > 0, "send: %s", strerror(errno));
		bytes += n;
		len -= (size_t)n;
	}
}

static void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

static int dial_and_say(const char *text)
{
	int fd = dial();

	say(fd, text);
	return fd;
}

/* Reads `len` bytes; returns how many came before the end. */
static size_t hear_bytes(int fd, char *to, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = recv(fd, to + got, len - got, 0);

		ck_assert_msg(n >= 0 || errno == ECONNRESET, "recv: %s", strerror(errno));
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

struct answer {
	int status;
	char head[2048];
	char *body;
	size_t len;
	bool whole; /* the body ended as announced */
};

/* Reads up to and with `end`. */
static bool hear_until(int fd, const char *end, char *to, size_t size)
{
	size_t len = 0, end_len = strlen(end);

	while (len + 1 < size && hear_bytes(fd, to + len, 1) == 1) {
		to[++len] = '\0';
		if (len >= end_len && strcmp(to + len - end_len, end) == 0)
			return true;
	}
	to[len] = '\0';
	return false;
}

static void hear_more(int fd, struct answer *a, size_t len)
{
	size_t got;

	a->body = realloc(a->body, a->len + len + 1);
	got = hear_bytes(fd, a->body + a->len, len);
	a->len += got;
	a->body[a->len] = '\0';
	a->whole = got == len;
}

static void hear_chunks(int fd, struct answer *a)
{
	char line[32];
	size_t len;

	do {
		a->whole = false;
		if (!hear_until(fd, "\r\n", line, sizeof(line)))
			return;
		len = strtoul(line, NULL, 16);
		hear_more(fd, a, len);
		a->whole &= hear_until(fd, "\r\n", line, sizeof(line));
	} while (len && a->whole);
}

static struct answer hear_head(int fd)
{
	struct answer a = { .body = calloc(1, 1) };

	if (hear_until(fd, "\r\n\r\n", a.head, sizeof(a.head)))
		a.status = atoi(a.head + strlen("HTTP/1.1 "));
	return a;
}

static struct answer hear(int fd)
{
	struct answer a = hear_head(fd);
	const char *length = strstr(a.head, "Content-Length: ");

	if (length)
		hear_more(fd, &a, strtoul(length + strlen("Content-Length: "), NULL, 10));
	else if (strstr(a.head, "Transfer-Encoding: chunked"))
		hear_chunks(fd, &a);
	else if (a.status)
		hear_more(fd, &a, BIG_BYTES);
	return a;
}

static void expect_body(int fd, int status, const char *body)
{
	struct answer a = hear(fd);

	ck_assert_msg(a.status == status, "%d, not %d: %s", a.status, status, a.body);
	ck_assert(a.whole);
	ck_assert_str_eq(a.body, body);
	free(a.body);
}

static void expect_status(int fd, int status)
{
	struct answer a = hear(fd);

	ck_assert_msg(a.status == status, "%d, not %d: %s", a.status, status, a.body);
	free(a.body);
}

static void expect_end(int fd)
{
	char byte;

	ck_assert_uint_eq(hear_bytes(fd, &byte, 1), 0);
	close(fd);
}

/* One request on a connection of its own. */
static void expect_one(const char *request, int status, const char *body)
{
	int fd = dial_and_say(request);

	expect_body(fd, status, body);
	close(fd);
}

static void wait_for(sem_t *event)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	ck_assert_msg(sem_timedwait(event, &until) == 0, "the event did not come");
}

static void wait_for_counter(enum counter c, uint64_t value)
{
	for (int i = 0; counter_get(c) < value; i++) {
		ck_assert_msg(i < PATIENCE_S * 1000, "the counter did not move");
		usleep(1000);
	}
}

/* ---- one connection */

START_TEST(test_server__answers_and_keeps_the_connection)
{
	int fd = dial();

	for (int i = 0; i < 3; i++) {
		say(fd, GET("/a"));
		expect_body(fd, 200, "/a");
	}
	close(fd);
}
END_TEST

START_TEST(test_server__head_has_the_headers_in_order)
{
	struct answer a;
	int fd = dial_and_say(GET("/a"));

	a = hear(fd);
	ck_assert_str_eq(a.head, "HTTP/1.1 200 OK\r\n"
				 "Content-Type: text/plain; charset=utf-8\r\n"
				 "X-Content-Type-Options: nosniff\r\n"
				 "Cache-Control: no-store\r\n"
				 "Server: pprofshim\r\n"
				 "Content-Length: 2\r\n\r\n");
	free(a.body);
	say(fd, GET("/soon/finish"));
	a = hear(fd);
	ck_assert_str_eq(a.head, "HTTP/1.1 200 OK\r\n"
				 "Content-Type: application/octet-stream\r\n"
				 "Content-Disposition: attachment; filename=\"file\"\r\n"
				 "X-Content-Type-Options: nosniff\r\n"
				 "Cache-Control: no-store\r\n"
				 "Server: pprofshim\r\n"
				 "Transfer-Encoding: chunked\r\n\r\n");
	free(a.body);
	close(fd);
}
END_TEST

START_TEST(test_server__errors_have_the_form_of_go)
{
	struct answer a;
	int fd = dial_and_say(GET("/error"));

	a = hear(fd);
	ck_assert_int_eq(a.status, 404);
	ck_assert_ptr_nonnull(strstr(a.head, "\r\nX-Go-Pprof: 1\r\n"));
	ck_assert_ptr_nonnull(strstr(a.head, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
	ck_assert_str_eq(a.body, "no such thing\n");
	free(a.body);
	close(fd);
}
END_TEST

START_TEST(test_server__missing_key_is_told_how)
{
	struct answer a;
	int fd = dial_and_say("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");

	a = hear(fd);
	ck_assert_int_eq(a.status, 401);
	ck_assert_ptr_nonnull(strstr(a.head, "WWW-Authenticate: Basic realm=\"pprof\"\r\n"
					     "WWW-Authenticate: Bearer realm=\"pprof\"\r\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "Authorization: Bearer"));
	free(a.body);
	say(fd, GET("/b"));
	expect_body(fd, 200, "/b");
	close(fd);
}
END_TEST

START_TEST(test_server__pipelined_requests_are_answered_in_order)
{
	int fd = dial_and_say(GET("/1") GET("/soon/finish") GET("/2") GET("/error") GET("/3"));

	expect_body(fd, 200, "/1");
	expect_body(fd, 200, "finished");
	expect_body(fd, 200, "/2");
	expect_body(fd, 404, "no such thing\n");
	expect_body(fd, 200, "/3");
	close(fd);
}
END_TEST

START_TEST(test_server__many_pipelined_requests_are_answered)
{
	enum { COUNT = 1000 };
	char *all;
	int fd;

	all = calloc(COUNT, sizeof(GET("/n")));
	for (int i = 0; i < COUNT; i++)
		strcat(all + (size_t)i * strlen(GET("/n")), GET("/n"));
	fd = dial_and_say(all);
	for (int i = 0; i < COUNT; i++)
		expect_body(fd, 200, "/n");
	free(all);
	close(fd);
}
END_TEST

START_TEST(test_server__request_in_single_bytes_is_answered)
{
	static const char text[] = GET("/a");
	int fd = dial();

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		say_bytes(fd, text + i, 1);
	expect_body(fd, 200, "/a");
	close(fd);
}
END_TEST

START_TEST(test_server__close_is_honoured)
{
	int fd = dial_and_say("GET /a HTTP/1.1\r\n" AUTH "Connection: TE, close\r\n\r\n");

	expect_body(fd, 200, "/a");
	expect_end(fd);
}
END_TEST

START_TEST(test_server__http_1_0_ends_with_the_answer)
{
	struct answer a;
	int fd = dial_and_say("GET /a HTTP/1.0\r\n" AUTH "\r\n");

	a = hear(fd);
	ck_assert_msg(strncmp(a.head, "HTTP/1.0 200 OK\r\n", 17) == 0, "%s", a.head);
	ck_assert_str_eq(a.body, "/a");
	free(a.body);
	expect_end(fd);
}
END_TEST

START_TEST(test_server__http_1_0_may_keep_the_connection)
{
	int fd = dial();

	for (int i = 0; i < 2; i++) {
		say(fd, "GET /a HTTP/1.0\r\n" AUTH "Connection: keep-alive\r\n\r\n");
		expect_body(fd, 200, "/a");
	}
	close(fd);
}
END_TEST

START_TEST(test_server__half_closed_client_gets_all_answers)
{
	int fd = dial_and_say(GET("/1") GET("/2"));

	shutdown(fd, SHUT_WR);
	expect_body(fd, 200, "/1");
	expect_body(fd, 200, "/2");
	expect_end(fd);
}
END_TEST

START_TEST(test_server__head_request_gets_no_body)
{
	struct answer a;
	int fd = dial_and_say("HEAD /abc HTTP/1.1\r\n" AUTH "\r\n"
			      "HEAD /error HTTP/1.1\r\n" AUTH "\r\n" GET("/next"));

	a = hear_head(fd);
	ck_assert_ptr_nonnull(strstr(a.head, "Content-Length: 4\r\n"));
	free(a.body);
	a = hear_head(fd);
	ck_assert_int_eq(a.status, 404);
	free(a.body);
	expect_body(fd, 200, "/next");
	close(fd);
}
END_TEST

START_TEST(test_server__head_request_never_waits)
{
	struct answer a;
	int fd = dial_and_say("HEAD /wait HTTP/1.1\r\n" AUTH "\r\n" GET("/next"));

	a = hear_head(fd);
	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.head, "Transfer-Encoding: chunked\r\n"));
	free(a.body);
	wait_for(&server.gone);
	expect_body(fd, 200, "/next");
	close(fd);
}
END_TEST

START_TEST(test_server__service_without_answer_is_an_error)
{
	expect_one(GET("/silent"), 500, "No answer was made.\n");
}
END_TEST

/* ---- limits of a request */

/* A request whose head has `len` bytes. */
static char *with_head_of(size_t len)
{
	static const char start_line[] = "GET /a HTTP/1.1\r\n" AUTH "X: ";
	char *text = calloc(1, len + 1);

	memset(text, 'x', len);
	memcpy(text, start_line, sizeof(start_line) - 1);
	memcpy(text + len - 4, "\r\n\r\n", 4);
	return text;
}

START_TEST(test_server__head_of_8_kib_is_taken_and_no_more)
{
	static const int status[] = { 200, 431, 431 };
	static const size_t bytes[] = { 8192, 8193, 100000 };
	char *text = with_head_of(bytes[_i]);
	int fd = dial_and_say(text);

	expect_status(fd, status[_i]);
	close(fd);
	free(text);
}
END_TEST

static char *pattern(size_t len)
{
	char *p = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (char)('a' + i % 23);
	p[len] = '\0';
	return p;
}

static void say_length(int fd, const char *headers, size_t len)
{
	char text[512];

	snprintf(text, sizeof(text), "POST /echo HTTP/1.1\r\n" AUTH "%sContent-Length: %zu\r\n\r\n",
		 headers, len);
	say(fd, text);
}

START_TEST(test_server__body_of_4_mib_is_taken)
{
	char *body = pattern(ECHO_MAX);
	int fd = dial();

	say_length(fd, "", ECHO_MAX);
	say_bytes(fd, body, ECHO_MAX);
	expect_body(fd, 200, body);
	say(fd, GET("/next"));
	expect_body(fd, 200, "/next");
	close(fd);
	free(body);
}
END_TEST

START_TEST(test_server__larger_body_is_refused_unread)
{
	int fd = dial();

	say_length(fd, "", ECHO_MAX + 1);
	expect_status(fd, 413);
	expect_end(fd);
}
END_TEST

static void say_chunk(int fd, const char *bytes, size_t len)
{
	char line[32];

	snprintf(line, sizeof(line), "%zx\r\n", len);
	say(fd, line);
	say_bytes(fd, bytes, len);
	say(fd, "\r\n");
}

START_TEST(test_server__chunked_body_is_taken)
{
	size_t len = 300000, half = 100001;
	char *body = pattern(len);
	int fd = dial_and_say("POST /echo HTTP/1.1\r\n" AUTH "Transfer-Encoding: chunked\r\n\r\n");

	say_chunk(fd, body, half);
	say_chunk(fd, body + half, len - half);
	say(fd, "0\r\n\r\n" GET("/next"));
	expect_body(fd, 200, body);
	expect_body(fd, 200, "/next");
	close(fd);
	free(body);
}
END_TEST

START_TEST(test_server__chunked_body_without_end_is_refused)
{
	char *body = pattern(1UL << 20);
	int fd = dial_and_say("POST /echo HTTP/1.1\r\n" AUTH "Transfer-Encoding: chunked\r\n\r\n");

	for (int i = 0; i < 4; i++)
		say_chunk(fd, body, 1UL << 20);
	say(fd, "1\r\nx");
	expect_status(fd, 413);
	close(fd);
	free(body);
}
END_TEST

START_TEST(test_server__body_is_invited_when_the_client_waits)
{
	struct answer a;
	int fd = dial();

	say_length(fd, "Expect: 100-continue\r\n", 5);
	a = hear_head(fd);
	ck_assert_str_eq(a.head, "HTTP/1.1 100 Continue\r\n\r\n");
	free(a.body);
	say(fd, "hello");
	expect_body(fd, 200, "hello");
	close(fd);
}
END_TEST

START_TEST(test_server__nobody_is_invited_without_a_key)
{
	int fd = dial_and_say("POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
			      "Content-Length: 5\r\n\r\n");

	expect_status(fd, 401);
	expect_end(fd);
}
END_TEST

START_TEST(test_server__small_body_that_nobody_wants_is_dropped)
{
	int fd =
		dial_and_say("GET /a HTTP/1.1\r\n" AUTH "Content-Length: 5\r\n\r\nhello" GET("/b"));
	expect_body(fd, 200, "/a");
	expect_body(fd, 200, "/b");
	close(fd);
}
END_TEST

START_TEST(test_server__large_body_that_nobody_wants_ends_the_connection)
{
	int fd = dial_and_say("GET /a HTTP/1.1\r\n" AUTH "Content-Length: 65537\r\n\r\n");

	expect_body(fd, 200, "/a");
	expect_end(fd);
}
END_TEST

/* ---- waiting */

START_TEST(test_server__waiter_sends_the_head_at_once)
{
	struct answer a;
	int fd = dial_and_say(GET("/wait"));

	a = hear_head(fd);
	ck_assert_int_eq(a.status, 200);
	ck_assert_int_eq(server.due_calls, 0);
	free(a.body);
	close(fd);
	wait_for(&server.gone);
}
END_TEST

START_TEST(test_server__waiter_finishes_in_chunks)
{
	expect_one(GET("/soon/finish"), 200, "finished");
	expect_one(GET("/soon/empty"), 200, "");
}
END_TEST

START_TEST(test_server__waiter_may_work_in_slices)
{
	expect_one(GET("/slices"), 200, "finished");
	ck_assert_int_eq(server.due_calls, SLICES + 1);
}
END_TEST

START_TEST(test_server__others_are_served_between_slices)
{
	int fd = dial_and_say(GET("/for-ever"));

	wait_for(&server.began);
	for (int i = 0; i < 10; i++)
		expect_one(GET("/other"), 200, "/other");
	close(fd);
	wait_for(&server.gone); /* and the client's going ends the work */
}
END_TEST

START_TEST(test_server__waiter_finishes_by_closing_in_http_1_0)
{
	struct answer a;
	int fd =
		dial_and_say("GET /soon/finish HTTP/1.0\r\n" AUTH "Connection: keep-alive\r\n\r\n");
	a = hear(fd);
	ck_assert_ptr_null(strstr(a.head, "chunked"));
	ck_assert_ptr_nonnull(strstr(a.head, "Connection: close\r\n"));
	ck_assert_str_eq(a.body, "finished");
	free(a.body);
	close(fd);
}
END_TEST

static const char *const broken_ends[] = { GET("/soon/abort"), GET("/soon/nothing") };

START_TEST(test_server__aborted_answer_has_no_last_chunk)
{
	struct answer a;
	int fd = dial_and_say(broken_ends[_i]);

	a = hear(fd);
	ck_assert_int_eq(a.status, 200);
	ck_assert(!a.whole);
	free(a.body);
	expect_end(fd);
}
END_TEST

START_TEST(test_server__aborted_answer_of_http_1_0_is_reset)
{
	char byte;
	int fd = dial_and_say("GET /soon/abort HTTP/1.0\r\n" AUTH "\r\n");

	while (recv(fd, &byte, 1, 0) > 0)
		;
	ck_assert_int_eq(errno, ECONNRESET);
	close(fd);
}
END_TEST

START_TEST(test_server__hang_up_is_noticed_while_waiting)
{
	uint64_t hung_up;
	int fd;

	hung_up = counter_get(COUNTER_HTTP_HUNG_UP);
	fd = dial_and_say(GET("/wait") GET("/pipelined"));
	wait_for(&server.began);
	close(fd);
	wait_for(&server.gone);
	wait_for_counter(COUNTER_HTTP_HUNG_UP, hung_up + 1);
	ck_assert_int_eq(server.due_calls, 0);
}
END_TEST

START_TEST(test_server__reset_is_noticed_while_waiting)
{
	struct linger now = { .l_onoff = 1 };
	int fd = dial_and_say(GET("/wait"));

	wait_for(&server.began);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	wait_for(&server.gone);
}
END_TEST

START_TEST(test_server__waiters_are_told_when_the_server_ends)
{
	int fd = dial_and_say(GET("/wait"));

	wait_for(&server.began);
	server.stop = 1;
	shutdown(server.fd, SHUT_RDWR);
	wait_for(&server.gone);
	close(fd);
}
END_TEST

/* ---- many connections */

static void allow_descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)4096);
	setrlimit(RLIMIT_NOFILE, &limit);
	ck_assert_uint_ge(limit.rlim_cur, 2 * HTTP_CONNECTIONS_MAX + 64);
}

/* `count` connections that have had an answer and are idle now. */
static void dial_idle(int *fd, int count)
{
	for (int i = 0; i < count; i++) {
		fd[i] = dial_and_say(GET("/idle"));
		expect_body(fd[i], 200, "/idle");
	}
}

static void close_many(const int *fd, int count)
{
	for (int i = 0; i < count; i++)
		close(fd[i]);
}

START_TEST(test_server__idle_connections_delay_nobody)
{
	int fd[200];

	allow_descriptors();
	dial_idle(fd, 200);
	expect_one(GET("/active"), 200, "/active");
	close_many(fd, 200);
}
END_TEST

START_TEST(test_server__newcomer_takes_the_place_of_the_longest_idle)
{
	int fd[HTTP_CONNECTIONS_MAX];
	int newcomer;

	allow_descriptors();
	dial_idle(fd, HTTP_CONNECTIONS_MAX);
	say(fd[0], GET("/again"));
	expect_body(fd[0], 200, "/again");
	newcomer = dial_and_say(GET("/new"));
	expect_body(newcomer, 200, "/new");
	expect_end(fd[1]);
	fd[1] = newcomer;
	say(fd[0], GET("/still"));
	expect_body(fd[0], 200, "/still");
	close_many(fd, HTTP_CONNECTIONS_MAX);
}
END_TEST

START_TEST(test_server__newcomer_is_refused_when_all_are_busy)
{
	int fd[4], newcomer;

	server.limits.connections = ARRAY_SIZE(fd);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = dial_and_say(GET("/wait"));
		wait_for(&server.began);
	}
	newcomer = dial_and_say(GET("/new"));
	expect_body(newcomer, 503, "Too many connections. Try again later.\n");
	expect_end(newcomer);
	close(fd[0]);
	wait_for(&server.gone);
	close_many(fd + 1, 3);
}
END_TEST

START_TEST(test_server__crowd_of_refused_newcomers_is_survived)
{
	int busy, fd[64];

	server.limits.connections = 1;
	busy = dial_and_say(GET("/wait"));
	wait_for(&server.began);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = dial();
	wait_for_counter(COUNTER_HTTP_REFUSED_FULL, ARRAY_SIZE(fd));
	close_many(fd, ARRAY_SIZE(fd));
	close(busy);
	wait_for(&server.gone);
	expect_one(GET("/alone"), 200, "/alone");
}
END_TEST

START_TEST(test_server__client_that_does_not_read_delays_nobody)
{
	int lazy;

	lazy = dial_and_say(GET("/big"));
	for (int i = 0; i < 10; i++)
		expect_one(GET("/quick"), 200, "/quick");
	close(lazy);
}
END_TEST

START_TEST(test_server__large_answer_arrives_whole)
{
	struct answer a;
	int fd;

	memset(server.big, 'b', BIG_BYTES);
	fd = dial_and_say(GET("/big"));
	a = hear(fd);
	ck_assert(a.whole);
	ck_assert_uint_eq(a.len, BIG_BYTES);
	ck_assert_int_eq(memcmp(a.body, server.big, BIG_BYTES), 0);
	free(a.body);
	close(fd);
}
END_TEST

/* Waits until nothing but the server itself holds memory. */
static void wait_for_memory(size_t bytes)
{
	for (int i = 0; sys_mapped_bytes() > bytes; i++) {
		ck_assert_msg(i < PATIENCE_S * 1000, "%zu bytes are left", sys_mapped_bytes());
		usleep(1000);
	}
}

START_TEST(test_server__memory_goes_with_the_client)
{
	size_t idle;
	int fd = dial_and_say(GET("/a"));

	expect_status(fd, 200);
	close(fd);
	wait_for_memory(16384);
	idle = sys_mapped_bytes();
	fd = dial();
	say_length(fd, "", 1UL << 20);
	say(fd, "x");
	close(fd);
	wait_for_memory(idle);
}
END_TEST

/*
 * A wake-up without reason would show in the ticks.  The one that closing took
 * may still come; a server that polls in a loop would make many.
 */
START_TEST(test_server__idle_server_sleeps)
{
	int fd = dial_and_say(GET("/a"));
	int ticks;

	expect_status(fd, 200);
	close(fd);
	wait_for_memory(16384);
	ticks = server.ticks;
	usleep(100000);
	ck_assert_int_le(server.ticks, ticks + 1);
}
END_TEST

/* ---- time */

#define SHORT_NS (50 * NS_PER_MS)

START_TEST(test_server__slow_head_is_timed_out)
{
	uint64_t timed_out;
	int fd;

	server.limits.head_ns = SHORT_NS;
	timed_out = counter_get(COUNTER_HTTP_TIMED_OUT);
	fd = dial_and_say("GET /slow HT");
	expect_body(fd, 408, "The request took too long to arrive.\n");
	expect_end(fd);
	ck_assert_uint_eq(counter_get(COUNTER_HTTP_TIMED_OUT), timed_out + 1);
}
END_TEST

START_TEST(test_server__silent_newcomer_is_closed)
{
	server.limits.head_ns = SHORT_NS;
	expect_end(dial());
}
END_TEST

START_TEST(test_server__slow_body_is_timed_out)
{
	int fd;

	server.limits.stall_ns = SHORT_NS;
	fd = dial();
	say_length(fd, "", 5);
	say(fd, "he");
	expect_status(fd, 408);
	expect_end(fd);
}
END_TEST

START_TEST(test_server__idle_connection_is_closed_after_a_while)
{
	int fd;

	server.limits.idle_ns = SHORT_NS;
	fd = dial_and_say(GET("/a"));
	expect_body(fd, 200, "/a");
	expect_end(fd);
}
END_TEST

START_TEST(test_server__client_that_never_reads_is_cut_off)
{
	char *body = malloc(BIG_BYTES);
	uint64_t timed_out;
	int fd;

	server.limits.stall_ns = SHORT_NS;
	timed_out = counter_get(COUNTER_HTTP_TIMED_OUT);
	fd = dial_and_say(GET("/big"));
	wait_for_counter(COUNTER_HTTP_TIMED_OUT, timed_out + 1);
	ck_assert_uint_lt(hear_bytes(fd, body, BIG_BYTES), BIG_BYTES);
	close(fd);
	free(body);
}
END_TEST

START_TEST(test_server__client_that_stays_after_the_last_answer_is_left)
{
	int fd;

	server.limits.linger_ns = SHORT_NS;
	fd = dial_and_say("GET /a HTTP/1.0\r\n" AUTH "\r\n");
	expect_body(fd, 200, "/a");
	wait_for_memory(16384);
	close(fd);
}
END_TEST

/* ---- the kernel says no */

static rlim_t limit_descriptors(rlim_t count)
{
	struct rlimit limit;
	rlim_t before;

	getrlimit(RLIMIT_NOFILE, &limit);
	before = limit.rlim_cur;
	limit.rlim_cur = count;
	setrlimit(RLIMIT_NOFILE, &limit);
	return before;
}

START_TEST(test_server__lack_of_descriptors_is_waited_out)
{
	int idle, newcomer = socket(AF_INET, SOCK_STREAM, 0);
	rlim_t before;

	idle = dial_and_say(GET("/a"));
	expect_status(idle, 200);
	before = limit_descriptors(3);
	connect(newcomer, (struct sockaddr *)&server.at, sizeof(server.at));
	say(newcomer, GET("/new"));
	wait_for_counter(COUNTER_HTTP_ACCEPT_FAILED, 1);
	limit_descriptors(before);
	say(idle, GET("/meanwhile"));
	expect_body(idle, 200, "/meanwhile");
	expect_body(newcomer, 200, "/new");
	ck_assert_uint_le(counter_get(COUNTER_HTTP_ACCEPT_FAILED), 3);
	close(idle);
	close(newcomer);
}
END_TEST

START_TEST(test_server__taken_port_is_an_error)
{
	ck_assert_int_eq(http_listen(ntohs(server.at.sin_port)), -EADDRINUSE);
}
END_TEST

static void add_connection_tests(TCase *t)
{
	tcase_add_test(t, test_server__answers_and_keeps_the_connection);
	tcase_add_test(t, test_server__head_has_the_headers_in_order);
	tcase_add_test(t, test_server__errors_have_the_form_of_go);
	tcase_add_test(t, test_server__missing_key_is_told_how);
	tcase_add_test(t, test_server__pipelined_requests_are_answered_in_order);
	tcase_add_test(t, test_server__many_pipelined_requests_are_answered);
	tcase_add_test(t, test_server__request_in_single_bytes_is_answered);
	tcase_add_test(t, test_server__close_is_honoured);
	tcase_add_test(t, test_server__http_1_0_ends_with_the_answer);
	tcase_add_test(t, test_server__http_1_0_may_keep_the_connection);
	tcase_add_test(t, test_server__half_closed_client_gets_all_answers);
	tcase_add_test(t, test_server__head_request_gets_no_body);
	tcase_add_test(t, test_server__head_request_never_waits);
	tcase_add_test(t, test_server__service_without_answer_is_an_error);
}

static void add_limit_tests(TCase *t)
{
	tcase_add_loop_test(t, test_server__head_of_8_kib_is_taken_and_no_more, 0, 3);
	tcase_add_test(t, test_server__body_of_4_mib_is_taken);
	tcase_add_test(t, test_server__larger_body_is_refused_unread);
	tcase_add_test(t, test_server__chunked_body_is_taken);
	tcase_add_test(t, test_server__chunked_body_without_end_is_refused);
	tcase_add_test(t, test_server__body_is_invited_when_the_client_waits);
	tcase_add_test(t, test_server__nobody_is_invited_without_a_key);
	tcase_add_test(t, test_server__small_body_that_nobody_wants_is_dropped);
	tcase_add_test(t, test_server__large_body_that_nobody_wants_ends_the_connection);
}

static void add_waiting_tests(TCase *t)
{
	tcase_add_test(t, test_server__waiter_sends_the_head_at_once);
	tcase_add_test(t, test_server__waiter_finishes_in_chunks);
	tcase_add_test(t, test_server__waiter_may_work_in_slices);
	tcase_add_test(t, test_server__others_are_served_between_slices);
	tcase_add_test(t, test_server__waiter_finishes_by_closing_in_http_1_0);
	tcase_add_loop_test(t, test_server__aborted_answer_has_no_last_chunk, 0, 2);
	tcase_add_test(t, test_server__aborted_answer_of_http_1_0_is_reset);
	tcase_add_test(t, test_server__hang_up_is_noticed_while_waiting);
	tcase_add_test(t, test_server__reset_is_noticed_while_waiting);
	tcase_add_test(t, test_server__waiters_are_told_when_the_server_ends);
}

static void add_crowd_tests(TCase *t)
{
	tcase_add_test(t, test_server__idle_connections_delay_nobody);
	tcase_add_test(t, test_server__newcomer_takes_the_place_of_the_longest_idle);
	tcase_add_test(t, test_server__newcomer_is_refused_when_all_are_busy);
	tcase_add_test(t, test_server__crowd_of_refused_newcomers_is_survived);
	tcase_add_test(t, test_server__client_that_does_not_read_delays_nobody);
	tcase_add_test(t, test_server__large_answer_arrives_whole);
	tcase_add_test(t, test_server__memory_goes_with_the_client);
	tcase_add_test(t, test_server__idle_server_sleeps);
}

static void add_time_tests(TCase *t)
{
	tcase_add_test(t, test_server__slow_head_is_timed_out);
	tcase_add_test(t, test_server__silent_newcomer_is_closed);
	tcase_add_test(t, test_server__slow_body_is_timed_out);
	tcase_add_test(t, test_server__idle_connection_is_closed_after_a_while);
	tcase_add_test(t, test_server__client_that_never_reads_is_cut_off);
	tcase_add_test(t, test_server__client_that_stays_after_the_last_answer_is_left);
	tcase_add_test(t, test_server__lack_of_descriptors_is_waited_out);
	tcase_add_test(t, test_server__taken_port_is_an_error);
}

static void add_case(Suite *s, const char *name, void (*add)(TCase *))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 3 * PATIENCE_S);
	add(t);
	suite_add_tcase(s, t);
}

int main(void)
{
	Suite *s = suite_create("server");
	SRunner *r = srunner_create(s);
	int failed;

	add_case(s, "connection", add_connection_tests);
	add_case(s, "limits", add_limit_tests);
	add_case(s, "waiting", add_waiting_tests);
	add_case(s, "crowd", add_crowd_tests);
	add_case(s, "time", add_time_tests);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
