/*
 * A reader that walks over the bytes once.  Each step either takes what it
 * wants or decides the result (MORE at the end of the bytes, BAD otherwise), and
 * the steps behind a decided one do nothing; so the grammar reads from top to
 * bottom without a test behind every line.
 */
#include "http/parse.h"

#include <string.h>

struct reader {
	const char *at;
	const char *end;
	enum parse_result result; /* PARSE_OK until something decides it */
};

static bool going(const struct reader *r)
{
	return r->result == PARSE_OK;
}

static void decide(struct reader *r, enum parse_result result)
{
	if (going(r))
		r->result = result;
}

/* Whether a next byte is there to look at; the end of the bytes means MORE. */
static bool has_byte(struct reader *r)
{
	if (r->at == r->end)
		decide(r, PARSE_MORE);
	return going(r);
}

static void expect(struct reader *r, char c)
{
	if (!has_byte(r))
		return;
	if (*r->at == c)
		r->at++;
	else
		decide(r, PARSE_BAD);
}

static void expect_text(struct reader *r, const char *text)
{
	for (; *text && going(r); text++)
		expect(r, *text);
}

static void expect_line_end(struct reader *r)
{
	expect(r, '\r');
	expect(r, '\n');
}

static bool is_token(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_target(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '#';
}

static bool is_value(unsigned char c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Takes bytes as long as they belong to a class; at least one byte must follow them. */
static struct http_slice take_while(struct reader *r, bool (*belongs)(unsigned char))
{
	struct http_slice s = { r->at, 0 };

	while (has_byte(r) && belongs((unsigned char)*r->at))
		r->at++;
	s.len = (size_t)(r->at - s.at);
	return s;
}

static struct http_slice take_some(struct reader *r, bool (*belongs)(unsigned char))
{
	struct http_slice s = take_while(r, belongs);

	if (s.len == 0)
		decide(r, PARSE_BAD);
	return s;
}

static void trim(struct http_slice *s)
{
	while (s->len && (s->at[0] == ' ' || s->at[0] == '\t'))
		*s = slice_from(*s, 1);
	while (s->len && (s->at[s->len - 1] == ' ' || s->at[s->len - 1] == '\t'))
		s->len--;
}

/* Cuts `s` in front of the first `c` and returns what is behind that byte. */
static struct http_slice split(struct http_slice *s, char c)
{
	const char *found = s->len ? memchr(s->at, c, s->len) : NULL;
	struct http_slice rest = { s->at + s->len, 0 };

	if (!found)
		return rest;
	rest = slice_from(*s, (size_t)(found - s->at) + 1);
	s->len = (size_t)(found - s->at);
	return rest;
}

/* http://authority/path, as sent to proxies: keeps what is in front of the path. */
static void split_authority(struct reader *r, struct http_request *out)
{
	struct http_slice rest = slice_from(out->path, strlen("http://"));
	const char *slash = rest.len ? memchr(rest.at, '/', rest.len) : NULL;

	if (!slash || slash == rest.at) {
		decide(r, PARSE_BAD);
		return;
	}
	out->authority = (struct http_slice){ rest.at, (size_t)(slash - rest.at) };
	out->path = slice_from(rest, out->authority.len);
}

static void parse_target(struct reader *r, struct http_request *out)
{
	out->path = take_some(r, is_target);
	if (!going(r))
		return;
	out->query = split(&out->path, '?');
	if (slice_starts_nocase(out->path, "http://"))
		split_authority(r, out);
	else if (out->path.len == 0 || out->path.at[0] != '/')
		decide(r, PARSE_BAD);
}

static void parse_version(struct reader *r, struct http_request *out)
{
	expect_text(r, "HTTP/1.");
	if (!has_byte(r))
		return;
	if (*r->at != '0' && *r->at != '1')
		decide(r, PARSE_BAD);
	else
		out->minor_version = *r->at++ - '0';
}

static void parse_request_line(struct reader *r, struct http_request *out)
{
	out->method = take_some(r, is_token);
	expect(r, ' ');
	if (!going(r))
		return;
	parse_target(r, out);
	expect(r, ' ');
	parse_version(r, out);
	expect_line_end(r);
}

static void parse_header(struct reader *r, struct http_request *out)
{
	struct http_header h;

	h.name = take_some(r, is_token);
	expect(r, ':');
	h.value = take_while(r, is_value);
	expect_line_end(r);
	trim(&h.value);
	if (out->header_count == HTTP_HEADERS_MAX)
		decide(r, PARSE_BAD);
	if (going(r))
		out->header[out->header_count++] = h;
}

enum parse_result http_parse(const char *bytes, size_t len, struct http_request *out)
{
	struct reader r = { .at = bytes, .end = bytes + len, .result = PARSE_OK };

	out->authority = out->query = out->body = (struct http_slice){ bytes, 0 };
	out->header_count = 0;
	parse_request_line(&r, out);
	while (has_byte(&r) && *r.at != '\r')
		parse_header(&r, out);
	expect_line_end(&r);
	out->head_bytes = (size_t)(r.at - bytes);
	return r.result;
}
