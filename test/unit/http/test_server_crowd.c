/* Many connections at once, clients that wait or are slow, and a kernel that says no. */
#include "test/unit/http/served.h"

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

/* One byte each, and no key. */
static void dial_strangers(int *fd, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fd[i] = dial_and_say("G");
}

START_TEST(test_server__of_strangers_the_oldest_goes_first)
{
	int known, fd[6];

	server.limits.strangers = 4;
	known = dial_and_say(GET("/known"));
	expect_body(known, 200, "/known");
	dial_strangers(fd, 4);
	dial_strangers(fd + 4, 2);
	expect_end(fd[0]);
	expect_end(fd[1]);
	ck_assert_uint_eq(counter_get(COUNTER_HTTP_STRANGERS_EVICTED), 2);
	say(fd[2], "ET /late HTTP/1.1\r\n" AUTH "\r\n");
	expect_body(fd[2], 200, "/late");
	say(known, GET("/still"));
	expect_body(known, 200, "/still");
	ck_assert_uint_eq(counter_get(COUNTER_HTTP_IDLE_EVICTED), 0);
	close(known);
	close_many(fd, 6);
}
END_TEST

START_TEST(test_server__who_has_said_nothing_is_no_stranger_yet)
{
	int silent = dial(), fd[10];

	server.limits.strangers = 2;
	dial_strangers(fd, 10);
	wait_for_counter(COUNTER_HTTP_STRANGERS_EVICTED, 8);
	say(silent, GET("/late"));
	expect_body(silent, 200, "/late");
	close(silent);
	close_many(fd, 10);
}
END_TEST

START_TEST(test_server__of_the_silent_the_oldest_goes_first)
{
	int fd[4];

	server.limits.lobby = 2;
	for (int i = 0; i < 4; i++)
		fd[i] = dial();
	expect_end(fd[0]);
	expect_end(fd[1]);
	ck_assert_uint_eq(counter_get(COUNTER_HTTP_STRANGERS_EVICTED), 2);
	for (int i = 2; i < 4; i++) {
		say(fd[i], GET("/late"));
		expect_body(fd[i], 200, "/late");
		close(fd[i]);
	}
}
END_TEST

/*
 * The key comes after the server has looked who said something, and before it makes room
 * for the newcomer that it saw in the same look.  `limit` is 1 then.
 */
static void say_at_the_last_moment(int fd, const char *text, const char *of_newcomer, size_t *limit)
{
	int first = dial_and_say(GET("/known")), second = dial_and_say(GET("/known")), newcomer;

	expect_body(first, 200, "/known");
	expect_body(second, 200, "/known");
	*limit = 1;
	say(first, GET("/stop"));
	wait_for(&server.began);
	newcomer = dial_and_say(of_newcomer);
	say(second, GET("/stop"));
	sem_post(&server.go_on);
	wait_for(&server.began);
	say(fd, text);
	sem_post(&server.go_on);
	expect_body(fd, 200, "/late");
	close(first);
	close(second);
	close(newcomer);
}

START_TEST(test_server__a_stranger_is_heard_before_it_goes)
{
	int fd = dial_and_say("G");

	say_at_the_last_moment(fd, "ET /late HTTP/1.1\r\n" AUTH "\r\n", "G",
			       &server.limits.strangers);
	close(fd);
}
END_TEST

START_TEST(test_server__a_silent_one_is_heard_before_it_goes)
{
	int fd = dial();

	say_at_the_last_moment(fd, GET("/late"), "", &server.limits.lobby);
	close(fd);
}
END_TEST

START_TEST(test_server__a_crowd_of_strangers_delays_nobody_with_the_key)
{
	int fd[400];

	allow_descriptors();
	dial_strangers(fd, ARRAY_SIZE(fd));
	for (int i = 0; i < 20; i++)
		expect_one(GET("/owner"), 200, "/owner");
	close_many(fd, ARRAY_SIZE(fd));
}
END_TEST

START_TEST(test_server__who_never_shows_the_key_is_sent_away)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd = dial();

	for (int i = 0; i < 50; i++)
		send(fd, request, strlen(request), MSG_NOSIGNAL);
	for (int i = 0; i < 4; i++)
		expect_status(fd, 401);
	expect_end(fd);
	close(fd);
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
		fd[i] = dial_and_say("G");
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

#define SERVER_BYTES 40960UL /* its own, and less than a connection's beside it */

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
	wait_for_memory(SERVER_BYTES);
	idle = sys_mapped_bytes();
	fd = dial();
	say_length(fd, "", 1UL << 20);
	say(fd, "x");
	close(fd);
	wait_for_memory(idle);
}
END_TEST

/*
 * A wake-up without reason would show in the passes.  The one that closing took
 * may still come; a server that polls in a loop would make many.
 */
START_TEST(test_server__idle_server_sleeps)
{
	int fd = dial_and_say(GET("/a"));
	int passes;

	expect_status(fd, 200);
	close(fd);
	wait_for_memory(SERVER_BYTES);
	passes = server.passes;
	usleep(100000);
	ck_assert_int_le(server.passes, passes + 1);
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
	wait_for_memory(SERVER_BYTES);
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
	tcase_add_test(t, test_server__of_strangers_the_oldest_goes_first);
	tcase_add_test(t, test_server__who_has_said_nothing_is_no_stranger_yet);
	tcase_add_test(t, test_server__of_the_silent_the_oldest_goes_first);
	tcase_add_test(t, test_server__a_stranger_is_heard_before_it_goes);
	tcase_add_test(t, test_server__a_silent_one_is_heard_before_it_goes);
	tcase_add_test(t, test_server__a_crowd_of_strangers_delays_nobody_with_the_key);
	tcase_add_test(t, test_server__who_never_shows_the_key_is_sent_away);
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

int main(void)
{
	Suite *s = suite_create("server_crowd");
	SRunner *r = srunner_create(s);
	int failed;

	add_case(s, "waiting", add_waiting_tests);
	add_case(s, "crowd", add_crowd_tests);
	add_case(s, "time", add_time_tests);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
