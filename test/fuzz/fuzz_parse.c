/*
 * Any bytes as requests: heads, headers, parameters, the guard, and bodies.  The
 * input lies in a block of exactly its size, so that the sanitizer sees a byte
 * too far.
 */
#include <stdlib.h>
#include <string.h>

#include "http/body.h"
#include "http/guard.h"
#include "http/parse.h"
#include "sampler/base/cc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void read_parameters(const struct http_request *r)
{
	static const char *const keys[] = { "seconds", "hz", "lines", "debug" };
	char value[8];
	int64_t number;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (http_query(r, keys[i], value, sizeof(value)))
			require(value[0] != '\0' && strlen(value) < sizeof(value));
		http_query_number(r, keys[i], &number);
	}
	http_decode(r->path, false, value, sizeof(value));
	require(strlen(value) < sizeof(value));
}

static void read_headers(const struct http_request *r)
{
	static const char *const names[] = { "Host", "Connection", "Expect", "Content-Length" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct http_slice *value = http_header(r, names[i]);

		if (value)
			slice_lists(*value, "close");
	}
}

static void ask_guard(const struct http_request *r)
{
	struct guard g;

	guard_init(&g, "key");
	guard_check(&g, r, 0);
}

/* What is taken never exceeds the limit or what there is. */
static void read_body(const struct http_request *r, const char *bytes, size_t len)
{
	struct arena a = ARENA_INIT(1UL << 20);
	struct body b;
	size_t used;

	if (body_framing(r, &b) == 0 && b.kind != BODY_NONE) {
		b.keep = true;
		b.limit = 1000;
		body_feed(&b, &a, bytes, len, &used);
		require(used <= len && b.len <= b.limit && b.len <= used);
	}
	arena_release(&a);
}

/* A head that was taken is taken again when it stands alone, and no shorter. */
static void parse_again(const char *bytes, const struct http_request *r)
{
	struct http_request again;

	require(http_parse(bytes, r->head_bytes, &again) == PARSE_OK);
	require(again.head_bytes == r->head_bytes);
	require(http_parse(bytes, r->head_bytes - 1, &again) == PARSE_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *bytes = malloc(size ? size : 1);
	struct http_request r;

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (http_parse(bytes, size, &r) == PARSE_OK) {
		require(r.head_bytes <= size && r.path.len > 0 && r.path.at[0] == '/');
		read_headers(&r);
		read_parameters(&r);
		ask_guard(&r);
		read_body(&r, bytes + r.head_bytes, size - r.head_bytes);
		parse_again(bytes, &r);
	}
	free(bytes);
	return 0;
}
