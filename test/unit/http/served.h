/*
 * The server over real sockets: http_serve() runs in a thread of the test, with
 * a service made of small fakes.  Nothing here depends on how long something
 * takes: each test waits for the event itself, and PATIENCE_S only bounds how long
 * a failure takes to show.
 */
#ifndef TEST_SERVED_H
#define TEST_SERVED_H

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
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"

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
	sem_t gone, began, go_on;
	atomic_int passes, due_calls;
	char *big;
} server;

static inline void on_gone(void *arg)
{
	(void)arg;
	sem_post(&server.gone);
}

#define SLICES 100

static inline void on_due(struct http_exchange *x, void *arg)
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

static inline void begin(struct http_exchange *x, int64_t due_ns, const char *end)
{
	struct http_pending w = { .due_ns = due_ns,
				  .arg = (void *)(uintptr_t)end,
				  .due = on_due,
				  .gone = on_gone,
				  .id = due_ns == INT64_MAX ? "late" : NULL };

	http_begin(x, &file_head, &w);
	sem_post(&server.began);
}

static inline void respond(struct http_exchange *x, const void *body, size_t len)
{
	struct http_response r = { .status = 200, .body = body, .body_len = len };

	http_respond(x, &r);
}

/* The server does nothing else meanwhile. */
static inline void wait_to_go_on(struct http_exchange *x)
{
	sem_post(&server.began);
	while (sem_wait(&server.go_on) != 0)
		;
	respond(x, "gone on", 7);
}

static inline void fake_serve(struct http_exchange *x, const struct http_request *r)
{
	char path[32];

	http_decode(r->path, false, path, sizeof(path));
	if (strcmp(path, "/echo") == 0)
		respond(x, r->body.at, r->body.len);
	else if (strcmp(path, "/big") == 0)
		respond(x, server.big, BIG_BYTES);
	else if (strcmp(path, "/wait") == 0)
		begin(x, INT64_MAX, "");
	else if (strcmp(path, "/late/finish") == 0)
		begin(x, INT64_MAX, "finish");
	else if (strcmp(path, "/hasten") == 0)
		respond(x, "0123456789", http_hasten(x, "late"));
	else if (strcmp(path, "/hasten/other") == 0)
		respond(x, "0123456789", http_hasten(x, "lat"));
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
	else if (strcmp(path, "/stop") == 0)
		wait_to_go_on(x);
	else if (strcmp(path, "/error") == 0)
		http_error(x, 404, "no such thing");
	else if (strcmp(path, "/silent") != 0)
		respond(x, r->path.at, r->path.len);
}

static inline int64_t fake_due_work(int64_t now_ns)
{
	(void)now_ns;
	atomic_fetch_add(&server.passes, 1);
	return INT64_MAX;
}

static inline size_t fake_body_limit(const struct http_request *r)
{
	return slice_equals(r->path, "/echo") ? ECHO_MAX : 0;
}

static inline void *run(void *arg)
{
	(void)arg;
	http_serve(server.fd, "key", &server.service, &server.stop);
	return NULL;
}

static inline void start(void)
{
	socklen_t len = sizeof(server.at);

	server.fd = http_listen(0);
	ck_assert_int_ge(server.fd, 0);
	getsockname(server.fd, (struct sockaddr *)&server.at, &len);
	ck_assert_int_eq(pthread_create(&server.thread, NULL, run, NULL), 0);
}

static inline void setup(void)
{
	server.limits = http_limits_default;
	server.service = (struct http_service){ .serve = fake_serve,
						.do_due = fake_due_work,
						.body_limit = fake_body_limit,
						.limits = &server.limits };
	server.big = calloc(1, BIG_BYTES);
	sem_init(&server.gone, 0, 0);
	sem_init(&server.began, 0, 0);
	sem_init(&server.go_on, 0, 0);
	start();
}

static inline void teardown(void)
{
	server.stop = 1;
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	ck_assert_msg(sys_mapped_bytes() == 0, "memory is left: %zu", sys_mapped_bytes());
	free(server.big);
}

/* ---- the client */

static inline int dial(void)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&server.at, sizeof(server.at)), 0);
	return fd;
}

static inline void say_bytes(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		ck_assert_msg(n > 0, "send: %s", strerror(errno));
		bytes += n;
		len -= (size_t)n;
	}
}

static inline void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

static inline int dial_and_say(const char *text)
{
	int fd = dial();

	say(fd, text);
	return fd;
}

/* Reads `len` bytes; returns how many came before the end. */
static inline size_t hear_bytes(int fd, char *to, size_t len)
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
static inline bool hear_until(int fd, const char *end, char *to, size_t size)
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

static inline void hear_more(int fd, struct answer *a, size_t len)
{
	size_t got;

	a->body = realloc(a->body, a->len + len + 1);
	got = hear_bytes(fd, a->body + a->len, len);
	a->len += got;
	a->body[a->len] = '\0';
	a->whole = got == len;
}

static inline void hear_chunks(int fd, struct answer *a)
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

static inline struct answer hear_head(int fd)
{
	struct answer a = { .body = calloc(1, 1) };

	if (hear_until(fd, "\r\n\r\n", a.head, sizeof(a.head)))
		a.status = atoi(a.head + strlen("HTTP/1.1 "));
	return a;
}

static inline struct answer hear(int fd)
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

static inline void expect_body(int fd, int status, const char *body)
{
	struct answer a = hear(fd);

	ck_assert_msg(a.status == status, "%d, not %d: %s", a.status, status, a.body);
	ck_assert(a.whole);
	ck_assert_str_eq(a.body, body);
	free(a.body);
}

static inline void expect_status(int fd, int status)
{
	struct answer a = hear(fd);

	ck_assert_msg(a.status == status, "%d, not %d: %s", a.status, status, a.body);
	free(a.body);
}

static inline void expect_end(int fd)
{
	char byte;

	ck_assert_uint_eq(hear_bytes(fd, &byte, 1), 0);
	close(fd);
}

/* One request on a connection of its own. */
static inline void expect_one(const char *request, int status, const char *body)
{
	int fd = dial_and_say(request);

	expect_body(fd, status, body);
	close(fd);
}

static inline void wait_for(sem_t *event)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	ck_assert_msg(sem_timedwait(event, &until) == 0, "the event did not come");
}

static inline void wait_for_counter(enum counter c, uint64_t value)
{
	for (int i = 0; counter_get(c) < value; i++) {
		ck_assert_msg(i < PATIENCE_S * 1000, "the counter did not move");
		usleep(1000);
	}
}

static inline void say_length(int fd, const char *headers, size_t len)
{
	char text[512];

	snprintf(text, sizeof(text), "POST /echo HTTP/1.1\r\n" AUTH "%sContent-Length: %zu\r\n\r\n",
		 headers, len);
	say(fd, text);
}

static inline void add_case(Suite *s, const char *name, void (*add)(TCase *))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, teardown);
	add(t);
	suite_add_tcase(s, t);
}

#endif
