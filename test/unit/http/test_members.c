/* What the process with the port and its members say to each other: sockets, answers, questions. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/answer.h"
#include "http/members.h"
#include "http/net.h"
#include "http/peer.h"
#include "http/tree_query.h"
#include "http/tree_waits.h"

/* ---- sockets */

START_TEST(peer__both_ends_know_each_other)
{
	char name[PEER_NAME_MAX];
	struct text t = TEXT_INIT(name);
	struct ucred who = { 0 };
	int listening, client, server;

	peer_write_prefix(&t, 6060);
	ck_assert_str_eq(name, "pprofshim-6060-");
	text_i64(&t, getpid());
	listening = peer_listen(name);
	ck_assert_int_ge(listening, 0);
	ck_assert_int_eq(peer_listen(name), -EADDRINUSE);
	client = peer_connect(name);
	ck_assert_int_ge(client, 0);
	server = accept(listening, NULL, NULL);
	ck_assert(peer_is_ours(client) && peer_is_ours(server));
	ck_assert(peer_of(client, &who));
	ck_assert_int_eq(who.pid, getpid());
	close(client);
	close(server);
	close(listening);
	ck_assert_int_eq(peer_connect(name), -ECONNREFUSED);
}
END_TEST

/* Their uid tells nothing then: we are root, and so is whoever may be it. */
START_TEST(peer__a_parent_that_may_be_root_is_known)
{
	char name[PEER_NAME_MAX];
	struct text t = TEXT_INIT(name);
	int listening, client, server, status;
	pid_t child;

	if (getuid() != 0)
		return;
	text_str(&t, "pprofshim-parent-");
	text_i64(&t, getpid());
	listening = peer_listen(name);
	ck_assert_int_eq(setresuid((uid_t)-1, 12345, (uid_t)-1), 0);
	client = peer_connect(name);
	ck_assert_int_ge(client, 0);
	server = accept(listening, NULL, NULL);
	child = fork();
	if (child == 0) {
		int of_child;

		setresuid(0, 0, 0);
		if (setresuid(54321, 54321, 54321) || peer_is_ours(server) ||
		    !peer_is_privileged_parent(server))
			_exit(1);
		close(server);
		server = peer_connect(name); /* a brother is no parent, nor is one of ourselves */
		of_child = accept(listening, NULL, NULL);
		_exit(server >= 0 && of_child >= 0 && !peer_is_privileged_parent(of_child) ? 0 : 2);
	}
	ck_assert_int_eq(setresuid(0, 0, 0), 0);
	waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
	close(client);
	close(server);
	close(listening);
}
END_TEST

START_TEST(peer__a_parent_that_gave_up_root_for_good_is_not)
{
	int pair[2], status;
	pid_t parent;

	if (getuid() != 0)
		return;
	parent = fork();
	if (parent == 0) {
		pid_t child;

		if (setresuid(12345, 12345, 12345) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			_exit(1);
		child = fork();
		if (child == 0)
			_exit(peer_is_privileged_parent(pair[0]));
		waitpid(child, &status, 0);
		_exit(status != 0);
	}
	waitpid(parent, &status, 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- who is there */

static void write_nothing(struct text *t, void *arg)
{
	(void)arg;
	text_str(t, "/");
}

static bool want_all(int pid, void *arg)
{
	(void)pid;
	(void)arg;
	return true;
}

/* Who is called is there within milliseconds, and who is forked later is not worth as many looks.
 */
START_TEST(members__newcomers_are_looked_for_soon_and_then_seldom)
{
	const struct members_request r = { .write_target = write_nothing, .is_wanted = want_all };
	static struct members m;
	int64_t now = sys_now_ns(), wait;

	members_open();
	members_ask(&m, &r);
	wait = members_look(&m, true) - now;
	ck_assert_msg(wait < 50 * NS_PER_MS, "%ld", (long)wait);
	for (int i = 0; i < 10; i++) {
		m.next_scan_ns = 0;
		now = sys_now_ns();
		wait = members_look(&m, true) - now;
	}
	ck_assert_msg(wait >= 100 * NS_PER_MS, "%ld", (long)wait);
	members_end(&m);
	members_close();
}
END_TEST

/* ---- answers */

static bool parse(const char *text, struct answer *a, char *room)
{
	strcpy(room, text);
	return answer_parse(room, strlen(text), a);
}

static void check_body(const char *text, int status, const char *body)
{
	char room[512];
	struct answer a;

	ck_assert_msg(parse(text, &a, room), "%s", text);
	ck_assert_int_eq(a.status, status);
	ck_assert_uint_eq(a.body_len, strlen(body));
	ck_assert_int_eq(memcmp(a.body, body, a.body_len), 0);
}

START_TEST(answer__a_length_or_chunks_give_the_body)
{
	check_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
	check_body(
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\nServer: x\r\n\r\nno\n",
		500, "no\n");
	check_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		   "chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
		   200, "hello!");
	check_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "");
	check_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		   "chunked\r\n\r\na\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n",
		   200, "\r\n\r\n\r\n\r\n\r\n");
}
END_TEST

START_TEST(answer__what_is_not_whole_is_refused)
{
	static const char *const broken[] = {
		"",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		"chunked\r\n\r\nffffffffffffffff\r\nx\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		"chunked\r\n\r\nfffffffffffffffe\r\nx\r\n0\r\n\r\n",
	};
	char room[512];
	struct answer a;

	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
		ck_assert_msg(!parse(broken[i], &a, room), "%zu", i);
	memcpy(room, "HTTP/1.1 200 OK\r\nContent\0Length: 0\r\n\r\n", 39);
	ck_assert(!answer_parse(room, 39, &a));
}
END_TEST

/* Who answers may be killed: what it sent ahead is there. */
START_TEST(answer__whole_chunks_of_a_broken_one_are_there)
{
#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	static const struct {
		const char *text, *body, *kept;
	} cases[] = {
		{ HEAD "5\r\nhello\r\n2\r\n, ", "hello", HEAD "5\r\nhello\r\n2\r\n, " },
		{ HEAD "5\r\nhello\r\n1\r\n!\r\n", "hello!", HEAD "1\r\n!\r\n" },
		{ HEAD "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n9\r\nx", "abc", HEAD "1\r\nc\r\n9\r\nx" },
		{ HEAD "5\r\nhel", "", HEAD "5\r\nhel" },
		{ HEAD, "", HEAD },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "",
		  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel" },
		{ "HTTP/1.1 200 OK\r\nTransfer-", "", "HTTP/1.1 200 OK\r\nTransfer-" },
	};
	char room[512];
	struct answer a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert(!parse(cases[i].text, &a, room));
		ck_assert_msg(a.body_len == strlen(cases[i].body) &&
				      memcmp(a.body, cases[i].body, a.body_len) == 0,
			      "%zu", i);
		strcpy(room, cases[i].text);
		ck_assert_uint_eq(answer_keep_last_chunk(room, strlen(room)),
				  strlen(cases[i].kept));
		ck_assert_int_eq(memcmp(room, cases[i].kept, strlen(cases[i].kept)), 0);
	}
}
END_TEST

/* No byte behind the answer is read, and none before it written: asan looks. */
START_TEST(answer__any_bytes_are_survived)
{
	static const char pieces[][32] = {
		"HTTP/1.1 ",	    "200 ", "\r\n", "\r\n\r\n", "Transfer-Encoding: chunked",
		"Content-Length: ", "9",    "f",    "\n",	"0\r\n\r\n"
	};
	struct answer a;

	srand(1);
	for (int round = 0; round < 20000; round++) {
		char text[256] = "";
		char *bytes;
		size_t len;

		for (int i = rand() % 12; i > 0; i--)
			strcat(text, pieces[(size_t)rand() % (sizeof(pieces) / sizeof(*pieces))]);
		len = strlen(text);
		bytes = malloc(len + !len);
		memcpy(bytes, text, len);
		len = answer_keep_last_chunk(bytes, len);
		if (answer_parse(bytes, len, &a))
			ck_assert(a.body >= bytes && a.body + a.body_len <= bytes + len);
		free(bytes);
	}
}
END_TEST

/* ---- questions */

static const char *ask(const char *query, struct tree_query *q)
{
	char head[256];
	struct http_request r;

	snprintf(head, sizeof(head), "GET /x?%s HTTP/1.1\r\n\r\n", query);
	ck_assert_int_eq(http_parse(head, strlen(head), &r), PARSE_OK);
	return tree_query_read(&r, q);
}

START_TEST(tree_query__pids_and_names_choose_processes)
{
	struct tree_query q;
	char list[64];

	ck_assert_ptr_null(ask("", &q));
	ck_assert(tree_query_has(&q, 12345) && !tree_query_is_self(&q));
	ck_assert_ptr_null(ask("pid=self", &q));
	ck_assert(tree_query_is_self(&q) && tree_query_has(&q, getpid()));
	ck_assert(!tree_query_has(&q, getppid()));
	snprintf(list, sizeof(list), "pid=%d", getpid());
	ck_assert_ptr_null(ask(list, &q));
	ck_assert(tree_query_is_own(&q) && !tree_query_is_self(&q));
	snprintf(list, sizeof(list), "pid=17,%d,self", getppid());
	ck_assert_ptr_null(ask(list, &q));
	ck_assert(tree_query_has(&q, 17) && tree_query_has(&q, getppid()) &&
		  !tree_query_is_self(&q));
	ck_assert(!tree_query_has(&q, 18));
	ck_assert_ptr_null(ask("process=test_mem*", &q));
	ck_assert(tree_query_has(&q, getpid()));
	ck_assert_ptr_null(ask("process=nginx", &q));
	ck_assert(!tree_query_has(&q, getpid()) && tree_query_has_named(&q, 1, "nginx"));
}
END_TEST

START_TEST(tree_query__nonsense_is_refused_with_a_sentence)
{
	static const char *const bad[] = {
		"pid=0",    "pid=-1",  "pid=x",		  "pid=1,",
		"pid=1,,2", "pid=1;2", "pid=99999999999", "pid=selfish"
	};
	struct tree_query q;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(ask(bad[i], &q) != NULL, "%s", bad[i]);
}
END_TEST

/* ---- deadlocks between processes */

static struct arena waits_arena;

static const char *tell(const struct tree_wait *w, size_t count)
{
	static char lines[1024], said[1024];
	struct tree_waits all = { 0 };

	waits_arena.limit = 1 << 20;
	for (size_t i = 0; i < count; i++) {
		struct text t = TEXT_INIT(lines);
		struct bytes rest;

		tree_wait_write(&t, &w[i]);
		text_str(&t, "\nthe rest");
		rest = tree_waits_take(&all, &waits_arena, w[i].pid,
				       (struct bytes){ (uint8_t *)lines, t.len });
		ck_assert_uint_eq(rest.len, 8);
		ck_assert_int_eq(memcmp(rest.at, "the rest", 8), 0);
	}
	ck_assert_uint_eq(all.count, count);
	memset(said, 0, sizeof(said));
	tree_waits_tell(&(struct text)TEXT_INIT(said), &waits_arena, &all);
	arena_release(&waits_arena);
	return said;
}

START_TEST(tree_waits__a_circle_that_was_there_at_one_moment_is_told)
{
	struct tree_wait w[] = {
		{ 10, 11, 21, 0xa0, 100, 200, "one" },
		{ 20, 21, 22, 0xb0, 150, 250, "two" },
		{ 20, 22, 11, 0xc0, 90, 160, "" },
		{ 30, 30, 11, 0xd0, 1, 500, "outside" },
	};

	ck_assert_str_eq(tell(w, 4),
			 "# DEADLOCK between processes: thread 11 (one) of process 10 waits for "
			 "lock 0xa0 held by thread 21 (two) of process 20, which waits for lock "
			 "0xb0 held by thread 22 of process 20, which waits for lock 0xc0 held by "
			 "thread 11 (one) of process 10\n");
	w[2].until_ns = 149; /* it was over before the second began */
	ck_assert_str_eq(tell(w, 4), "");
	ck_assert_str_eq(tell(w, 2), "");
}
END_TEST

/* Each process tells its own; one of itself alone is told there. */
START_TEST(tree_waits__what_is_said_of_others_is_not_believed)
{
	static const struct tree_wait w[] = { { 20, 11, 21, 1, 1, 9, "" },
					      { 20, 21, 11, 1, 1, 9, "" } };
	static const char *const bad[] = { "#wait \n",
					   "#wait 1 2 3 4 5 x\n",
					   "#wait 1 2 3 4 5\n",
					   "#wait 99999999999 2 3 4 5 6 x\n",
					   "#wait -1 2 3 4 5 6 x\n",
					   "#wait 99999999999999999999999 2 3 4 5 6 x\n" };
	struct tree_waits all = { 0 };
	char line[256];
	struct text t = TEXT_INIT(line);

	ck_assert_str_eq(tell(w, 2), "");
	tree_wait_write(&t, &w[0]);
	tree_waits_take(&all, &waits_arena, 10, (struct bytes){ (uint8_t *)line, t.len });
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct bytes rest =
			tree_waits_take(&all, &waits_arena, 1,
					(struct bytes){ (const uint8_t *)bad[i], strlen(bad[i]) });
		ck_assert_uint_eq(rest.len, 0);
	}
	ck_assert_uint_eq(all.count, 0);
	arena_release(&waits_arena);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("members");
	Suite *s = suite_create("members");
	SRunner *r;
	int failed;

	tcase_add_test(t, peer__both_ends_know_each_other);
	tcase_add_test(t, peer__a_parent_that_may_be_root_is_known);
	tcase_add_test(t, peer__a_parent_that_gave_up_root_for_good_is_not);
	tcase_add_test(t, members__newcomers_are_looked_for_soon_and_then_seldom);
	tcase_add_test(t, answer__a_length_or_chunks_give_the_body);
	tcase_add_test(t, answer__what_is_not_whole_is_refused);
	tcase_add_test(t, answer__whole_chunks_of_a_broken_one_are_there);
	tcase_add_test(t, answer__any_bytes_are_survived);
	tcase_add_test(t, tree_query__pids_and_names_choose_processes);
	tcase_add_test(t, tree_query__nonsense_is_refused_with_a_sentence);
	tcase_add_test(t, tree_waits__a_circle_that_was_there_at_one_moment_is_told);
	tcase_add_test(t, tree_waits__what_is_said_of_others_is_not_believed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
