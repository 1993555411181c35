/* Who is let in, and what the others are told. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/guard.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"

#define KEY    "s3cret:key"
#define BEARER "Authorization: Bearer " KEY "\r\n"
#define HOST   "Host: 127.0.0.1:6060\r\n"

/* base64 of user:KEY, :KEY, user:wrong, and of KEY without a user (whose colon is the key's) */
#define BASIC_USER  "dXNlcjpzM2NyZXQ6a2V5"
#define BASIC_EMPTY "OnMzY3JldDprZXk="
#define BASIC_WRONG "dXNlcjp3cm9uZw=="
#define BASIC_BARE  "czNjcmV0OmtleQ=="

static struct guard guard;

static void setup(void)
{
	guard_init(&guard, KEY);
}

/* The status for a request with these header lines; 0 when it may be answered. */
static int ask_at(const char *first_line, const char *headers, int64_t now_ns)
{
	static char text[4096];
	static struct http_request r;
	const struct guard_refusal *no;

	snprintf(text, sizeof(text), "%s\r\n%s\r\n", first_line, headers);
	ck_assert_msg(http_parse(text, strlen(text), &r) == PARSE_OK, "%s", text);
	no = guard_check(&guard, &r, now_ns);
	return no ? no->status : 0;
}

static int ask(const char *headers)
{
	return ask_at("GET / HTTP/1.1", headers, 0);
}

struct guard_case {
	const char *headers;
	int status;
};

static const struct guard_case host_cases[] = {
	{ BEARER "Host: 127.0.0.1\r\n", 0 },
	{ BEARER "Host: 127.0.0.1:6060\r\n", 0 },
	{ BEARER "Host: localhost\r\n", 0 },
	{ BEARER "Host: LocalHost:1\r\n", 0 },
	{ BEARER "host: localhost:65535\r\n", 0 },
	{ BEARER "Host: [::1]\r\n", 0 },
	{ BEARER "Host: [::1]:6060\r\n", 0 },
	{ BEARER, 400 },
	{ BEARER HOST HOST, 400 },
	{ BEARER "Host: localhost\r\nhOsT: evil.example\r\n", 400 },
	{ BEARER "Host:\r\n", 403 },
	{ BEARER "Host: evil.example\r\n", 403 },
	{ BEARER "Host: localhost.evil.example\r\n", 403 },
	{ BEARER "Host: 127.0.0.1.evil.example\r\n", 403 },
	{ BEARER "Host: 127.0.0.10\r\n", 403 },
	{ BEARER "Host: 127.0.0.2\r\n", 403 },
	{ BEARER "Host: 0.0.0.0\r\n", 403 },
	{ BEARER "Host: localhost:\r\n", 403 },
	{ BEARER "Host: localhost:abc\r\n", 403 },
	{ BEARER "Host: localhost:6060:1\r\n", 403 },
	{ BEARER "Host: localhost:123456\r\n", 403 },
	{ BEARER "Host: user@localhost\r\n", 403 },
	{ BEARER "Host: ::1\r\n", 403 },
	{ BEARER "Host: [::1\r\n", 403 },
	{ BEARER "Host: localhost, evil.example\r\n", 403 },
};

static const struct guard_case page_cases[] = {
	{ BEARER HOST "Origin: http://127.0.0.1:6060\r\n", 0 },
	{ BEARER HOST "Origin: HTTP://127.0.0.1:6060\r\n", 0 },
	{ BEARER HOST "Origin: http://127.0.0.1\r\n", 403 },
	{ BEARER HOST "Origin: http://127.0.0.1:3000\r\n", 403 },
	{ BEARER HOST "Origin: http://localhost:6060\r\n", 403 },
	{ BEARER HOST "Origin: https://127.0.0.1:6060\r\n", 403 },
	{ BEARER HOST "Origin: http://127.0.0.1:6060.evil.example\r\n", 403 },
	{ BEARER HOST "Origin: http://evil.example\r\n", 403 },
	{ BEARER HOST "Origin: null\r\n", 403 },
	{ BEARER HOST "Origin:\r\n", 403 },
	{ BEARER HOST "Origin: http://127.0.0.1:6060\r\nOrigin: http://evil.example\r\n", 403 },
	{ BEARER HOST "Sec-Fetch-Site: none\r\n", 0 },
	{ BEARER HOST "Sec-Fetch-Site: same-origin\r\n", 0 },
	{ BEARER HOST "Sec-Fetch-Site: same-site\r\n", 403 },
	{ BEARER HOST "Sec-Fetch-Site: cross-site\r\n", 403 },
	{ BEARER HOST "Sec-Fetch-Site:\r\n", 403 },
	{ BEARER HOST "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n", 403 },
	{ HOST "Origin: http://evil.example\r\n", 403 },
	{ "Host: evil.example\r\n", 403 },
};

static const struct guard_case key_cases[] = {
	{ HOST BEARER, 0 },
	{ HOST "authorization: bearer " KEY "\r\n", 0 },
	{ HOST "Authorization: BEARER   " KEY "  \r\n", 0 },
	{ HOST "Authorization: Basic " BASIC_USER "\r\n", 0 },
	{ HOST "Authorization: bAsIc " BASIC_EMPTY "\r\n", 0 },
	{ HOST "Authorization: Basic OnMzY3JldDprZXk\r\n", 0 },
	{ HOST, 401 },
	{ HOST "Authorization:\r\n", 401 },
	{ HOST "Authorization: Bearer\r\n", 401 },
	{ HOST "Authorization: Bearer" KEY "\r\n", 401 },
	{ HOST "Authorization: Bearer s3cret:ke\r\n", 401 },
	{ HOST "Authorization: Bearer s3cret:keyy\r\n", 401 },
	{ HOST "Authorization: Bearer s3cret:kez\r\n", 401 },
	{ HOST "Authorization: Bearer S3CRET:KEY\r\n", 401 },
	{ HOST "Authorization: Bearer " KEY " " KEY "\r\n", 401 },
	{ HOST "Authorization: Token " KEY "\r\n", 401 },
	{ HOST "Authorization: " KEY "\r\n", 401 },
	{ HOST "Authorization: Basic\r\n", 401 },
	{ HOST "Authorization: Basic " KEY "\r\n", 401 },
	{ HOST "Authorization: Basic " BASIC_WRONG "\r\n", 401 },
	{ HOST "Authorization: Basic " BASIC_BARE "\r\n", 401 },
	{ HOST "Authorization: Basic dXNlcg==\r\n", 401 },
	{ HOST "Authorization: Basic ====\r\n", 401 },
	{ HOST "Authorization: Basic dXNl!jpzM2NyZXQ6a2V5\r\n", 401 },
	{ HOST BEARER BEARER, 401 },
	{ HOST BEARER "Authorization: Bearer x\r\n", 401 },
	{ HOST "Proxy-Authorization: Bearer " KEY "\r\n", 401 },
	{ HOST "Cookie: key=" KEY "\r\n", 401 },
};

static void check_case(const struct guard_case *c)
{
	int status = ask(c->headers);

	ck_assert_msg(status == c->status, "%d, not %d:\n%s", status, c->status, c->headers);
}

START_TEST(test_guard__hosts)
{
	check_case(&host_cases[_i]);
}
END_TEST

START_TEST(test_guard__pages)
{
	check_case(&page_cases[_i]);
}
END_TEST

START_TEST(test_guard__keys)
{
	check_case(&key_cases[_i]);
}
END_TEST

START_TEST(test_guard__http_1_0_needs_no_host)
{
	ck_assert_int_eq(ask_at("GET / HTTP/1.0", BEARER, 0), 0);
	ck_assert_int_eq(ask_at("GET / HTTP/1.0", BEARER "Host: evil.example\r\n", 0), 403);
	ck_assert_int_eq(ask_at("GET / HTTP/1.0", BEARER HOST HOST, 0), 400);
}
END_TEST

START_TEST(test_guard__absolute_target_must_be_loopback_too)
{
	ck_assert_int_eq(ask_at("GET http://localhost:1/ HTTP/1.1", BEARER HOST, 0), 0);
	ck_assert_int_eq(ask_at("GET http://evil.example/ HTTP/1.1", BEARER HOST, 0), 403);
	ck_assert_int_eq(ask_at("GET http://a@localhost/ HTTP/1.1", BEARER HOST, 0), 403);
}
END_TEST

START_TEST(test_guard__key_in_the_query_opens_nothing)
{
	ck_assert_int_eq(ask_at("GET /?token=" KEY "&key=" KEY " HTTP/1.1", HOST, 0), 401);
}
END_TEST

#define WRONG HOST "Authorization: Bearer wrong\r\n"

static int ask_wrong_at(int64_t now_ns)
{
	return ask_at("GET / HTTP/1.1", WRONG, now_ns);
}

START_TEST(test_guard__wrong_keys_are_limited_and_the_right_one_never)
{
	int64_t now = 5 * NS_PER_SECOND;

	for (int i = 0; i < GUARD_WRONG_PER_SECOND; i++)
		ck_assert_int_eq(ask_wrong_at(now), 401);
	ck_assert_int_eq(ask_wrong_at(now + NS_PER_SECOND - 1), 429);
	ck_assert_int_eq(ask_at("GET / HTTP/1.1", HOST BEARER, now), 0);
	ck_assert_int_eq(ask_at("GET / HTTP/1.1", HOST, now), 401);
	ck_assert_int_eq(ask_wrong_at(now + NS_PER_SECOND), 401);
}
END_TEST

START_TEST(test_guard__no_key_is_no_wrong_key)
{
	for (int i = 0; i < 3 * GUARD_WRONG_PER_SECOND; i++)
		ck_assert_int_eq(ask(HOST), 401);
	ck_assert_int_eq(ask(WRONG), 401);
}
END_TEST

/* Bearer with a key of `len` bytes 'k'. */
static int ask_with_long_key(size_t len)
{
	char headers[1024] = HOST "Authorization: Bearer ";
	size_t start = strlen(headers);

	memset(headers + start, 'k', len);
	strcpy(headers + start + len, "\r\n");
	return ask(headers);
}

static void init_with_long_key(size_t len)
{
	char key[512] = { 0 };

	memset(key, 'k', len);
	guard_init(&guard, key);
}

START_TEST(test_guard__longest_key_works)
{
	init_with_long_key(GUARD_KEY_MAX);
	ck_assert_int_eq(ask_with_long_key(GUARD_KEY_MAX), 0);
	ck_assert_int_eq(ask_with_long_key(GUARD_KEY_MAX - 1), 401);
	ck_assert_int_eq(ask_with_long_key(GUARD_KEY_MAX + 1), 401);
	ck_assert_int_eq(ask_with_long_key(600), 401);
}
END_TEST

START_TEST(test_guard__too_long_a_key_opens_nothing)
{
	init_with_long_key(GUARD_KEY_MAX + 1);
	ck_assert_int_eq(ask_with_long_key(GUARD_KEY_MAX + 1), 401);
	ck_assert_int_eq(ask_with_long_key(GUARD_KEY_MAX), 401);
	ck_assert_int_eq(ask_with_long_key(0), 401);
}
END_TEST

START_TEST(test_guard__empty_key_opens_nothing)
{
	guard_init(&guard, "");
	ck_assert_int_eq(ask(HOST "Authorization: Bearer \r\n"), 401);
	ck_assert_int_eq(ask(HOST "Authorization: Basic dXNlcjo=\r\n"), 401);
	guard_init(&guard, NULL);
	ck_assert_int_eq(ask(HOST "Authorization: Basic dXNlcjo=\r\n"), 401);
}
END_TEST

static int place_status(const char *headers)
{
	static char text[4096];
	static struct http_request r;
	const struct guard_refusal *no;

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", headers);
	ck_assert(http_parse(text, strlen(text), &r) == PARSE_OK);
	no = guard_check_place(&r);
	return no ? no->status : 0;
}

/* A tunnel is a client whom the kernel knows, whoever is at its other end. */
START_TEST(test_guard__without_a_key_hosts_and_pages_are_looked_at)
{
	ck_assert_int_eq(place_status(HOST), 0);
	ck_assert_int_eq(place_status(HOST "Authorization: Bearer wrong\r\n"), 0);
	ck_assert_int_eq(place_status("Host: evil.example\r\n"), 403);
	ck_assert_int_eq(place_status(HOST "Origin: http://evil.example\r\n"), 403);
	ck_assert_int_eq(place_status(HOST "Sec-Fetch-Site: cross-site\r\n"), 403);
}
END_TEST

START_TEST(test_guard__refusals_are_counted)
{
	uint64_t unauthorized = counter_get(COUNTER_HTTP_UNAUTHORIZED);
	uint64_t forbidden = counter_get(COUNTER_HTTP_FORBIDDEN);

	ask(HOST);
	ask(BEARER "Host: evil.example\r\n");
	ask(HOST BEARER);
	ck_assert_uint_eq(counter_get(COUNTER_HTTP_UNAUTHORIZED), unauthorized + 1);
	ck_assert_uint_eq(counter_get(COUNTER_HTTP_FORBIDDEN), forbidden + 1);
}
END_TEST

#define ADD_TABLE(t, test, table) tcase_add_loop_test(t, test, 0, ARRAY_SIZE(table))

static Suite *guard_suite(void)
{
	Suite *s = suite_create("guard");
	TCase *t = tcase_create("guard");

	tcase_add_checked_fixture(t, setup, NULL);
	ADD_TABLE(t, test_guard__hosts, host_cases);
	ADD_TABLE(t, test_guard__pages, page_cases);
	ADD_TABLE(t, test_guard__keys, key_cases);
	tcase_add_test(t, test_guard__http_1_0_needs_no_host);
	tcase_add_test(t, test_guard__absolute_target_must_be_loopback_too);
	tcase_add_test(t, test_guard__key_in_the_query_opens_nothing);
	tcase_add_test(t, test_guard__wrong_keys_are_limited_and_the_right_one_never);
	tcase_add_test(t, test_guard__no_key_is_no_wrong_key);
	tcase_add_test(t, test_guard__longest_key_works);
	tcase_add_test(t, test_guard__too_long_a_key_opens_nothing);
	tcase_add_test(t, test_guard__empty_key_opens_nothing);
	tcase_add_test(t, test_guard__refusals_are_counted);
	tcase_add_test(t, test_guard__without_a_key_hosts_and_pages_are_looked_at);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(guard_suite());
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
