/*
 * Heads, query strings and bodies of requests.  All input lies right in front of
 * a page without access, so a byte too far is a crash.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "http/body.h"
#include "http/parse.h"
#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"

#define ROOM (16UL << 10)

static char *guard_page;

static void setup(void)
{
	char *p = mmap(NULL, ROOM + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	guard_page = p + ROOM;
	ck_assert_int_eq(mprotect(guard_page, PAGE_BYTES, PROT_NONE), 0);
}

/* Copies `len` bytes so that the guard page follows them. */
static const char *against_guard(const char *bytes, size_t len)
{
	memcpy(guard_page - len, bytes, len);
	return guard_page - len;
}

static enum parse_result parse(const char *bytes, size_t len, struct http_request *r)
{
	return http_parse(against_guard(bytes, len), len, r);
}

static const char *const good_requests[] = {
	"GET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
	"GET /debug/pprof/profile?seconds=5 HTTP/1.1\r\nHost: 127.0.0.1:6060\r\n\r\n",
	"POST /debug/pprof/symbol HTTP/1.1\r\nHost:localhost\r\nContent-Length:\t 4 \t\r\n\r\n",
	"GET http://localhost:6060/x?y HTTP/1.1\r\nHost: localhost:6060\r\n\r\n",
	"get /a%20b HTTP/1.1\r\nX-Empty:\r\nX-Blank:   \r\n\r\n",
	"!#$%&'*+-.^_`|~aZ09 /?? HTTP/1.1\r\n!#$%&'*+-.^_`|~: \x80\xff\t ~\r\n\r\n",
};

START_TEST(test_parse__good_request_is_taken_whole)
{
	const char *text = good_requests[_i];
	struct http_request r;

	ck_assert_msg(parse(text, strlen(text), &r) == PARSE_OK, "refused: %s", text);
	ck_assert_uint_eq(r.head_bytes, strlen(text));
}
END_TEST

START_TEST(test_parse__every_truncation_wants_more)
{
	const char *text = good_requests[_i];
	struct http_request r;

	for (size_t len = 0; len < strlen(text); len++)
		ck_assert_msg(parse(text, len, &r) == PARSE_MORE, "cut at %zu: %s", len, text);
}
END_TEST

START_TEST(test_parse__bytes_behind_the_head_are_left_alone)
{
	static const char text[] = "GET /a HTTP/1.1\r\n\r\n\x01\nrubbish";
	struct http_request r;

	ck_assert_int_eq(parse(text, sizeof(text) - 1, &r), PARSE_OK);
	ck_assert_uint_eq(r.head_bytes, strlen("GET /a HTTP/1.1\r\n\r\n"));
}
END_TEST

struct bytes_case {
	const char *name;
	const char *bytes;
	size_t len;
};

#define BYTES(literal) (literal), sizeof(literal) - 1

static const struct bytes_case bad_requests[] = {
	{ "bare LF behind the request line", BYTES("GET / HTTP/1.1\n\r\n") },
	{ "bare LF behind a header", BYTES("GET / HTTP/1.1\r\nA: b\n\r\n") },
	{ "bare LF as the empty line", BYTES("GET / HTTP/1.1\r\n\n") },
	{ "bare CR inside a value", BYTES("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n") },
	{ "CR without LF at the end", BYTES("GET / HTTP/1.1\r\n\rX") },
	{ "empty line first", BYTES("\r\nGET / HTTP/1.1\r\n\r\n") },
	{ "blank first", BYTES(" GET / HTTP/1.1\r\n\r\n") },
	{ "no method", BYTES("/ HTTP/1.1\r\n\r\n") },
	{ "method with a slash", BYTES("GE/T / HTTP/1.1\r\n\r\n") },
	{ "method with NUL", BYTES("GE\0T / HTTP/1.1\r\n\r\n") },
	{ "method with a high byte", BYTES("GE\xc3T / HTTP/1.1\r\n\r\n") },
	{ "tab for a blank", BYTES("GET\t/ HTTP/1.1\r\n\r\n") },
	{ "two blanks before the target", BYTES("GET  / HTTP/1.1\r\n\r\n") },
	{ "two blanks behind the target", BYTES("GET /  HTTP/1.1\r\n\r\n") },
	{ "no target", BYTES("GET HTTP/1.1\r\n\r\n") },
	{ "target without slash", BYTES("GET debug HTTP/1.1\r\n\r\n") },
	{ "target is a star", BYTES("OPTIONS * HTTP/1.1\r\n\r\n") },
	{ "target is an authority", BYTES("CONNECT localhost:80 HTTP/1.1\r\n\r\n") },
	{ "target is a query only", BYTES("GET ?a=b HTTP/1.1\r\n\r\n") },
	{ "target with a fragment", BYTES("GET /#a HTTP/1.1\r\n\r\n") },
	{ "target with NUL", BYTES("GET /\0 HTTP/1.1\r\n\r\n") },
	{ "target with DEL", BYTES("GET /\x7f HTTP/1.1\r\n\r\n") },
	{ "target with a high byte", BYTES("GET /\xc3\xa9 HTTP/1.1\r\n\r\n") },
	{ "absolute target, other scheme", BYTES("GET https://localhost/ HTTP/1.1\r\n\r\n") },
	{ "absolute target without path", BYTES("GET http://localhost HTTP/1.1\r\n\r\n") },
	{ "absolute target without host", BYTES("GET http:/// HTTP/1.1\r\n\r\n") },
	{ "no version", BYTES("GET /\r\n\r\n") },
	{ "version 0.9", BYTES("GET / HTTP/0.9\r\n\r\n") },
	{ "version 1.2", BYTES("GET / HTTP/1.2\r\n\r\n") },
	{ "version 1.10", BYTES("GET / HTTP/1.10\r\n\r\n") },
	{ "version 2.0", BYTES("GET / HTTP/2.0\r\n\r\n") },
	{ "HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
	{ "version in small letters", BYTES("GET / http/1.1\r\n\r\n") },
	{ "blank behind the version", BYTES("GET / HTTP/1.1 \r\n\r\n") },
	{ "header without colon", BYTES("GET / HTTP/1.1\r\nHost\r\n\r\n") },
	{ "header without name", BYTES("GET / HTTP/1.1\r\n: a\r\n\r\n") },
	{ "blank before the colon", BYTES("GET / HTTP/1.1\r\nHost : a\r\n\r\n") },
	{ "tab before the colon", BYTES("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n") },
	{ "first header is indented", BYTES("GET / HTTP/1.1\r\n A: b\r\n\r\n") },
	{ "folded header", BYTES("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n") },
	{ "folded header by tab", BYTES("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n") },
	{ "name with a bracket", BYTES("GET / HTTP/1.1\r\nA(: b\r\n\r\n") },
	{ "value with NUL", BYTES("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n") },
	{ "value with escape", BYTES("GET / HTTP/1.1\r\nA: \x1b[1m\r\n\r\n") },
	{ "value with DEL", BYTES("GET / HTTP/1.1\r\nA: \x7f\r\n\r\n") },
	{ "TLS hello", BYTES("\x16\x03\x01\x02\x00\x01") },
};

START_TEST(test_parse__bad_request_is_refused)
{
	const struct bytes_case *c = &bad_requests[_i];
	struct http_request r;

	ck_assert_msg(parse(c->bytes, c->len, &r) == PARSE_BAD, "accepted: %s", c->name);
}
END_TEST

/* Appends `count` headers; returns the length of the request. */
static size_t with_headers(char *text, int count)
{
	strcpy(text, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < count; i++)
		strcat(text, "A: b\r\n");
	strcat(text, "\r\n");
	return strlen(text);
}

START_TEST(test_parse__headers_are_counted)
{
	char text[1024];
	struct http_request r;

	ck_assert_int_eq(parse(text, with_headers(text, HTTP_HEADERS_MAX), &r), PARSE_OK);
	ck_assert_uint_eq(r.header_count, HTTP_HEADERS_MAX);
	ck_assert_int_eq(parse(text, with_headers(text, HTTP_HEADERS_MAX + 1), &r), PARSE_BAD);
}
END_TEST

static void assert_slice(struct http_slice s, const char *expected)
{
	ck_assert_msg(slice_equals(s, expected), "'%.*s' is not '%s'", (int)s.len, s.at, expected);
}

START_TEST(test_parse__pieces_are_where_they_belong)
{
	static const char text[] = "POST /a/b?c=d?e HTTP/1.0\r\nHost:  localhost:1 \t\r\n"
				   "X-Two: first\r\nx-two: second\r\n\r\n";
	struct http_request r;

	ck_assert_int_eq(parse(text, sizeof(text) - 1, &r), PARSE_OK);
	assert_slice(r.method, "POST");
	assert_slice(r.path, "/a/b");
	assert_slice(r.query, "c=d?e");
	assert_slice(r.authority, "");
	ck_assert_int_eq(r.minor_version, 0);
	assert_slice(*http_header(&r, "hOST"), "localhost:1");
	assert_slice(*http_header(&r, "X-Two"), "first");
	ck_assert_ptr_null(http_header(&r, "X-Tw"));
}
END_TEST

START_TEST(test_parse__absolute_target_is_split)
{
	static const char text[] = "GET HTTP://host:8/p/q?r HTTP/1.1\r\n\r\n";
	struct http_request r;

	ck_assert_int_eq(parse(text, sizeof(text) - 1, &r), PARSE_OK);
	assert_slice(r.authority, "host:8");
	assert_slice(r.path, "/p/q");
	assert_slice(r.query, "r");
}
END_TEST

START_TEST(test_parse__list_elements_are_found)
{
	static const char text[] = "GET / HTTP/1.1\r\nA: TE, Close\r\nB: closed\r\nC:\r\n\r\n";
	struct http_request r;

	ck_assert_int_eq(parse(text, sizeof(text) - 1, &r), PARSE_OK);
	ck_assert(slice_lists(*http_header(&r, "A"), "close"));
	ck_assert(slice_lists(*http_header(&r, "A"), "te"));
	ck_assert(!slice_lists(*http_header(&r, "B"), "close"));
	ck_assert(!slice_lists(*http_header(&r, "C"), "close"));
}
END_TEST

struct query_case {
	const char *query;
	const char *value; /* of "seconds"; NULL: absent */
};

static const struct query_case query_cases[] = {
	{ "", NULL },
	{ "seconds", NULL },
	{ "seconds=", NULL },
	{ "second=5&secondss=6", NULL },
	{ "Seconds=5", NULL },
	{ "seconds=5", "5" },
	{ "debug=1&seconds=5", "5" },
	{ "&&seconds=5&&", "5" },
	{ "seconds=1&seconds=2", "1" },
	{ "seconds=&seconds=2", NULL },
	{ "seconds=a=b", "a=b" },
	{ "seconds=a+b", "a b" },
	{ "seconds=%41%2b%2B", "A++" },
	{ "%73econds=5", "5" },
	{ "seconds=%", "%" },
	{ "seconds=%4", "%4" },
	{ "seconds=%zz%4g", "%zz%4g" },
	{ "seconds=5%00x", "5%00x" },
	{ "seconds=123456789", "1234567" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1&seconds=2", "2" },
};

static struct http_request with_query(const char *query)
{
	size_t len = strlen(query);

	return (struct http_request){ .query = { against_guard(query, len), len } };
}

START_TEST(test_query__value_is_found_and_decoded)
{
	const struct query_case *c = &query_cases[_i];
	struct http_request r = with_query(c->query);
	char value[8] = "none";

	ck_assert_msg(http_query(&r, "seconds", value, sizeof(value)) == (c->value != NULL), "'%s'",
		      c->query);
	if (c->value)
		ck_assert_str_eq(value, c->value);
}
END_TEST

struct number_case {
	const char *query;
	bool is_number;
	int64_t value;
};

static const struct number_case number_cases[] = {
	{ "n=5", true, 5 },
	{ "n=-7", true, -7 },
	{ "n=%2B7", true, 7 },
	{ "n=007", true, 7 },
	{ "n=9223372036854775807", true, INT64_MAX },
	{ "n=-9223372036854775808", true, INT64_MIN },
	{ "n=9223372036854775808", false, 0 },
	{ "n=99999999999999999999999999999999999999999999999999999999999999999", false, 0 },
	{ "n=00000000000000000000000000000000000000000000000000000000000000000", false, 0 },
	{ "n=+7", false, 0 },
	{ "n=1.5", false, 0 },
	{ "n=abc", false, 0 },
	{ "n=0x10", false, 0 },
	{ "n=-", false, 0 },
	{ "n=", false, 0 },
	{ "", false, 0 },
};

START_TEST(test_query__number_is_read_like_go_does)
{
	const struct number_case *c = &number_cases[_i];
	struct http_request r = with_query(c->query);
	int64_t value = 0;

	ck_assert_msg(http_query_number(&r, "n", &value) == c->is_number, "'%s'", c->query);
	if (c->is_number)
		ck_assert_int_eq(value, c->value);
}
END_TEST

struct framing_case {
	const char *headers;
	int minor_version;
	int status;
	enum body_kind kind;
};

static const struct framing_case framing_cases[] = {
	{ "", 1, 0, BODY_NONE },
	{ "Content-Length: 0\r\n", 1, 0, BODY_NONE },
	{ "Content-Length: 5\r\n", 0, 0, BODY_LENGTH },
	{ "Content-Length: 99999999999999999999999999\r\n", 1, 0, BODY_LENGTH },
	{ "Content-Length:\r\n", 1, 400, BODY_NONE },
	{ "Content-Length: -1\r\n", 1, 400, BODY_NONE },
	{ "Content-Length: +1\r\n", 1, 400, BODY_NONE },
	{ "Content-Length: 0x1\r\n", 1, 400, BODY_NONE },
	{ "Content-Length: 1 1\r\n", 1, 400, BODY_NONE },
	{ "Content-Length: 5, 5\r\n", 1, 400, BODY_NONE },
	{ "Content-Length: 5\r\nContent-Length: 5\r\n", 1, 400, BODY_NONE },
	{ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 1, 400, BODY_NONE },
	{ "Transfer-Encoding: Chunked\r\n", 1, 0, BODY_CHUNKED },
	{ "Transfer-Encoding: chunked\r\n", 0, 400, BODY_NONE },
	{ "Transfer-Encoding: gzip\r\n", 1, 501, BODY_NONE },
	{ "Transfer-Encoding: gzip, chunked\r\n", 1, 501, BODY_NONE },
	{ "Transfer-Encoding:\r\n", 1, 501, BODY_NONE },
	{ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 1, 400, BODY_NONE },
};

START_TEST(test_body__framing_is_clear_or_refused)
{
	const struct framing_case *c = &framing_cases[_i];
	char text[256] = "POST / HTTP/1.";
	struct http_request r;
	struct body b;

	strcat(strcat(text, c->minor_version ? "1\r\n" : "0\r\n"), c->headers);
	strcat(text, "\r\n");
	ck_assert_int_eq(parse(text, strlen(text), &r), PARSE_OK);
	ck_assert_msg(body_framing(&r, &b) == c->status, "%s", c->headers);
	if (c->status == 0)
		ck_assert_int_eq(b.kind, c->kind);
}
END_TEST

static const struct body length_body = {
	.kind = BODY_LENGTH, .keep = true, .limit = 100, .left = 5
};
static const struct body chunked_body = { .kind = BODY_CHUNKED, .keep = true, .limit = 10 };

struct body_case {
	const char *name;
	const struct body *start;
	const char *bytes;
	enum body_result result;
	const char *data;
	size_t left_over; /* bytes of the next request */
};

static const struct body_case body_cases[] = {
	{ "length", &length_body, "hello", BODY_DONE, "hello", 0 },
	{ "length, pipelined", &length_body, "helloGET", BODY_DONE, "hello", 3 },
	{ "length, short", &length_body, "hell", BODY_MORE, "hell", 0 },
	{ "one chunk", &chunked_body, "5\r\nhello\r\n0\r\n\r\n", BODY_DONE, "hello", 0 },
	{ "two chunks", &chunked_body, "3\r\nhel\r\n02\r\nlo\r\n0\r\n\r\n", BODY_DONE, "hello", 0 },
	{ "pipelined", &chunked_body, "1\r\nh\r\n0\r\n\r\nGET", BODY_DONE, "h", 3 },
	{ "empty", &chunked_body, "0\r\n\r\n", BODY_DONE, "", 0 },
	{ "hex digits", &chunked_body, "A\r\n0123456789\r\n0\r\n\r\n", BODY_DONE, "0123456789", 0 },
	{ "extension", &chunked_body, "1;a=b\r\nh\r\n0 ;x\r\n\r\n", BODY_DONE, "h", 0 },
	{ "trailers", &chunked_body, "1\r\nh\r\n0\r\nA: b\r\nC: d\r\n\r\n", BODY_DONE, "h", 0 },
	{ "no last chunk", &chunked_body, "1\r\nh\r\n", BODY_MORE, "h", 0 },
	{ "over the limit", &chunked_body, "b\r\n0123456789a\r\n", BODY_TOO_LARGE, NULL, 0 },
	{ "sum over the limit", &chunked_body, "9\r\n012345678\r\n2\r\n", BODY_MORE, NULL, 0 },
	{ "sum over the limit, seen", &chunked_body, "9\r\n012345678\r\n2\r\n9a", BODY_TOO_LARGE,
	  NULL, 0 },
	{ "huge chunk", &chunked_body, "FFFFFFFF\r\nx", BODY_TOO_LARGE, NULL, 0 },
	{ "size overflows", &chunked_body, "11111111111\r\n", BODY_BAD, NULL, 0 },
	{ "no size", &chunked_body, "\r\n", BODY_BAD, NULL, 0 },
	{ "extension without size", &chunked_body, ";a\r\n", BODY_BAD, NULL, 0 },
	{ "negative", &chunked_body, "-1\r\n", BODY_BAD, NULL, 0 },
	{ "0x", &chunked_body, "0x1\r\n", BODY_BAD, NULL, 0 },
	{ "bare LF behind size", &chunked_body, "1\nh\r\n0\r\n\r\n", BODY_BAD, NULL, 0 },
	{ "bare LF behind extension", &chunked_body, "1;a\nh\r\n0\r\n\r\n", BODY_BAD, NULL, 0 },
	{ "bare CR behind size", &chunked_body, "1\rh", BODY_BAD, NULL, 0 },
	{ "data too long", &chunked_body, "1\r\nhe\r\n0\r\n\r\n", BODY_BAD, NULL, 0 },
	{ "bare LF behind data", &chunked_body, "1\r\nh\n0\r\n\r\n", BODY_BAD, NULL, 0 },
	{ "bare LF in trailers", &chunked_body, "0\r\nA: b\n\r\n", BODY_BAD, NULL, 0 },
	{ "bare LF at the end", &chunked_body, "0\r\n\n", BODY_BAD, NULL, 0 },
};

/* Feeds `step` bytes at a time; returns the last result, *used is the sum. */
static enum body_result feed(struct body *b, struct arena *a, const char *bytes, size_t step,
			     size_t *used)
{
	enum body_result result = BODY_MORE;
	size_t len = strlen(bytes), taken;

	for (*used = 0; *used < len && result == BODY_MORE; *used += taken) {
		size_t piece = MIN(step, len - *used);

		result = body_feed(b, a, against_guard(bytes + *used, piece), piece, &taken);
	}
	return result;
}

START_TEST(test_body__is_the_same_in_pieces_of_any_size)
{
	const struct body_case *c = &body_cases[_i];

	for (size_t step = 1; step <= strlen(c->bytes); step++) {
		struct arena a = ARENA_INIT(1UL << 20);
		struct body b = *c->start;
		size_t used;

		ck_assert_msg(feed(&b, &a, c->bytes, step, &used) == c->result, "%s, %zu at a time",
			      c->name, step);
		if (c->data) {
			ck_assert_uint_eq(used, strlen(c->bytes) - c->left_over);
			ck_assert_uint_eq(b.len, strlen(c->data));
			ck_assert(b.len == 0 || memcmp(b.at, c->data, b.len) == 0);
		}
		arena_release(&a);
	}
}
END_TEST

START_TEST(test_body__frames_are_bounded)
{
	static char endless[4096];
	struct arena a = ARENA_INIT(1UL << 20);
	struct body b = chunked_body;
	size_t used;

	memset(endless, 'x', sizeof(endless) - 1);
	memcpy(endless, "1;", 2);
	ck_assert_int_eq(feed(&b, &a, endless, 7, &used), BODY_BAD);
	b = chunked_body;
	memcpy(endless, "0\r\n", 3);
	ck_assert_int_eq(feed(&b, &a, endless, 7, &used), BODY_BAD);
	arena_release(&a);
}
END_TEST

START_TEST(test_body__dropped_bytes_need_no_memory)
{
	struct arena a = { 0 };
	struct body b = { .kind = BODY_LENGTH, .limit = 10, .left = 5 };
	size_t used;

	ck_assert_int_eq(feed(&b, &a, "hello", 2, &used), BODY_DONE);
	ck_assert_uint_eq(b.len, 5);
	ck_assert_ptr_null(b.at);
}
END_TEST

START_TEST(test_body__without_memory_says_so)
{
	struct arena a = { 0 };
	struct body b = length_body;
	size_t used;

	ck_assert_int_eq(feed(&b, &a, "hello", 5, &used), BODY_NO_MEMORY);
}
END_TEST

#define ADD_TABLE(t, test, table) tcase_add_loop_test(t, test, 0, ARRAY_SIZE(table))

static Suite *parse_suite(void)
{
	Suite *s = suite_create("parse");
	TCase *t = tcase_create("parse");

	tcase_add_unchecked_fixture(t, setup, NULL);
	ADD_TABLE(t, test_parse__good_request_is_taken_whole, good_requests);
	ADD_TABLE(t, test_parse__every_truncation_wants_more, good_requests);
	tcase_add_test(t, test_parse__bytes_behind_the_head_are_left_alone);
	ADD_TABLE(t, test_parse__bad_request_is_refused, bad_requests);
	tcase_add_test(t, test_parse__headers_are_counted);
	tcase_add_test(t, test_parse__pieces_are_where_they_belong);
	tcase_add_test(t, test_parse__absolute_target_is_split);
	tcase_add_test(t, test_parse__list_elements_are_found);
	ADD_TABLE(t, test_query__value_is_found_and_decoded, query_cases);
	ADD_TABLE(t, test_query__number_is_read_like_go_does, number_cases);
	ADD_TABLE(t, test_body__framing_is_clear_or_refused, framing_cases);
	ADD_TABLE(t, test_body__is_the_same_in_pieces_of_any_size, body_cases);
	tcase_add_test(t, test_body__frames_are_bounded);
	tcase_add_test(t, test_body__dropped_bytes_need_no_memory);
	tcase_add_test(t, test_body__without_memory_says_so);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(parse_suite());
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
