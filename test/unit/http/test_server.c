/* One connection at a time, and the limits of a request. */
#include "test/unit/http/served.h"

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

/* Those of other connections, and only those that wait under this id. */
START_TEST(test_server__pending_answers_can_be_hastened)
{
	int one = dial_and_say(GET("/late/finish")), two = dial_and_say(GET("/late/finish"));

	wait_for(&server.began);
	wait_for(&server.began);
	expect_one(GET("/hasten/other"), 200, "");
	expect_one(GET("/hasten"), 200, "01");
	expect_body(one, 200, "finished");
	expect_body(two, 200, "finished");
	expect_one(GET("/hasten"), 200, "");
	close(one);
	close(two);
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
	tcase_add_test(t, test_server__pending_answers_can_be_hastened);
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

int main(void)
{
	Suite *s = suite_create("server");
	SRunner *r = srunner_create(s);
	int failed;

	add_case(s, "connection", add_connection_tests);
	add_case(s, "limits", add_limit_tests);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
