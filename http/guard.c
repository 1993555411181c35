#include "http/guard.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"

static const struct guard_refusal no_host = {
	400,
	"Send exactly one Host header.",
	NULL,
};

static const struct guard_refusal foreign_host = {
	403,
	"This endpoint answers to the hosts 127.0.0.1, localhost and [::1] only. "
	"From another machine, come through a tunnel: ssh -L PORT:127.0.0.1:PORT",
	NULL,
};

static const struct guard_refusal foreign_page = {
	403,
	"This endpoint does not answer requests that other web pages make. "
	"Type the address into the browser, or use curl or go tool pprof.",
	NULL,
};

static const struct guard_refusal no_key = {
	401,
	"The key is missing or wrong. Send it as the password of any user, "
	"http://pprof:KEY@127.0.0.1:PORT/debug/pprof/, "
	"or in the header Authorization: Bearer KEY",
	"WWW-Authenticate: Basic realm=\"pprof\"\r\n"
	"WWW-Authenticate: Bearer realm=\"pprof\"\r\n",
};

static const struct guard_refusal too_many_wrong = {
	429,
	"Too many wrong keys. Try again in a second.",
	"Retry-After: 1\r\n",
};

void guard_init(struct guard *g, const char *key)
{
	size_t len = key ? strlen(key) : 0;

	*g = (struct guard){ 0 };
	if (len > GUARD_KEY_MAX)
		return;
	memcpy(g->key, key ? key : "", len);
	g->key_len = len;
}

/* Any port will do: a tunnel may have given it another number. */
static bool is_port(struct http_slice s)
{
	if (s.len == 0)
		return true;
	if (s.at[0] != ':' || s.len < 2 || s.len > 6)
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
	return true;
}

static bool is_loopback_host(struct http_slice host)
{
	static const char *const names[] = { "127.0.0.1", "localhost", "[::1]" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (slice_starts_nocase(host, names[i]))
			return is_port(slice_from(host, strlen(names[i])));
	return false;
}

static const struct guard_refusal *check_host(const struct http_request *r)
{
	size_t count;
	const struct http_slice *host = http_header_count(r, "Host", &count);

	if (count > 1 || (count == 0 && r->minor_version >= 1))
		return &no_host;
	if (host && !is_loopback_host(*host))
		return &foreign_host;
	if (r->authority.len && !is_loopback_host(r->authority))
		return &foreign_host;
	return NULL;
}

static bool same_host(struct http_slice a, struct http_slice b)
{
	char text[32]; /* the longest that is_loopback_host() passes has 15 bytes */

	if (a.len >= sizeof(text))
		return false;
	memcpy(text, a.at, a.len);
	text[a.len] = '\0';
	return slice_equals_nocase(b, text);
}

/* An Origin is ours when it is http:// and the host that the request names. */
static bool is_own_origin(const struct http_request *r, struct http_slice origin)
{
	const struct http_slice *host = http_header(r, "Host");

	return host && slice_starts_nocase(origin, "http://") &&
	       same_host(*host, slice_from(origin, strlen("http://")));
}

static bool is_own_fetch(struct http_slice site)
{
	return slice_equals_nocase(site, "none") || slice_equals_nocase(site, "same-origin");
}

static const struct guard_refusal *check_page(const struct http_request *r)
{
	for (size_t i = 0; i < r->header_count; i++) {
		const struct http_header *h = &r->header[i];

		if (slice_equals_nocase(h->name, "Origin") && !is_own_origin(r, h->value))
			return &foreign_page;
		if (slice_equals_nocase(h->name, "Sec-Fetch-Site") && !is_own_fetch(h->value))
			return &foreign_page;
	}
	return NULL;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Decodes into `out`; false when it is no base64 or does not fit.  '=' at the end may be missing.
 */
static bool base64_decode(struct http_slice in, char *out, size_t size, size_t *len)
{
	unsigned int bits = 0, held = 0;

	*len = 0;
	while (in.len && in.at[in.len - 1] == '=')
		in.len--;
	for (size_t i = 0; i < in.len; i++) {
		int digit = base64_digit(in.at[i]);

		if (digit < 0 || *len == size)
			return false;
		bits = (bits << 6 | (unsigned int)digit) & 0xffff;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		out[(*len)++] = (char)(bits >> held & 0xff);
	}
	return true;
}

/*
 * Compares in a time that depends on neither key: both stand in padded buffers
 * of one size, and every byte is looked at.
 */
static bool is_key(const struct guard *g, struct http_slice given)
{
	unsigned char padded[GUARD_KEY_MAX + 1] = { 0 };
	volatile size_t difference = given.len ^ g->key_len;

	memcpy(padded, given.at, MIN(given.len, (size_t)GUARD_KEY_MAX));
	for (size_t i = 0; i < sizeof(padded); i++)
		difference |= (size_t)(padded[i] ^ g->key[i]);
	return difference == 0 && g->key_len > 0;
}

static bool basic_opens(const struct guard *g, struct http_slice encoded)
{
	char pair[1024];
	size_t len;
	const char *colon;

	if (!base64_decode(encoded, pair, sizeof(pair), &len))
		return false;
	colon = memchr(pair, ':', len);
	if (!colon)
		return false;
	colon++;
	return is_key(g, (struct http_slice){ colon, (size_t)(pair + len - colon) });
}

/* What follows the scheme and blanks; empty when `value` is of another scheme. */
static struct http_slice credentials(struct http_slice value, const char *scheme)
{
	size_t i = strlen(scheme);

	if (!slice_starts_nocase(value, scheme) || value.len == i || value.at[i] != ' ')
		return slice_from(value, value.len);
	while (i < value.len && value.at[i] == ' ')
		i++;
	return slice_from(value, i);
}

static bool opens(const struct guard *g, struct http_slice value)
{
	struct http_slice bearer = credentials(value, "Bearer");
	struct http_slice basic = credentials(value, "Basic");

	return (bearer.len && is_key(g, bearer)) || (basic.len && basic_opens(g, basic));
}

static const struct guard_refusal *wrong_key(struct guard *g, int64_t now_ns)
{
	if (now_ns - g->window_ns >= NS_PER_SECOND) {
		g->window_ns = now_ns;
		g->wrong = 0;
	}
	return ++g->wrong > GUARD_WRONG_PER_SECOND ? &too_many_wrong : &no_key;
}

static const struct guard_refusal *check_key(struct guard *g, const struct http_request *r,
					     int64_t now_ns)
{
	size_t count;
	const struct http_slice *value = http_header_count(r, "Authorization", &count);

	if (count == 0)
		return &no_key;
	if (count == 1 && opens(g, *value))
		return NULL;
	return wrong_key(g, now_ns);
}

static const struct guard_refusal *counted(const struct guard_refusal *no, enum counter counter)
{
	if (no)
		counter_add(counter, 1);
	return no;
}

const struct guard_refusal *guard_check_place(const struct http_request *r)
{
	const struct guard_refusal *no = check_host(r);

	return counted(no ? no : check_page(r), COUNTER_HTTP_FORBIDDEN);
}

const struct guard_refusal *guard_check(struct guard *g, const struct http_request *r,
					int64_t now_ns)
{
	const struct guard_refusal *no = guard_check_place(r);

	return no ? no : counted(check_key(g, r, now_ns), COUNTER_HTTP_UNAUTHORIZED);
}
