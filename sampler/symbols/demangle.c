#include "sampler/symbols/demangle.h"

#include <libiberty/demangle.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sampler/base/arena.h"
#include "sampler/base/text.h"
#include "sampler/base/utf8.h"
#undef ARRAY_SIZE /* libiberty.h has one too */
#include "sampler/base/cc.h"
#include "sampler/process/linked_libc.h"

#define STACK_MAX	(480UL << 10)
#define STACK_PER_BYTE	72
#define STACK_PER_LEVEL 360
#define LEVELS_MAX	1024  /* libiberty's own limit while printing */
#define OUTPUT_BYTES	16384 /* of a name, from which beginning and end are taken */

/* libiberty's readers of D call each other, about 500 bytes for each byte of a name. */
#define D_BYTES_MAX  960
#define D_MEMORY_MAX (1UL << 20)

/* Where the library's output goes, and the way out of the library. */
struct sink {
	struct text text;
	void *enough[5];
};

static void take_text(const char *bytes, size_t len, void *opaque)
{
	struct sink *s = opaque;

	if (len)
		text_bytes(&s->text, bytes, len);
	if (s->text.cut)
		__builtin_longjmp(s->enough, 1);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads a decimal number; one too large to be a length is as good as any other. */
static size_t number_at(const char **at)
{
	size_t n = 0;

	for (; is_digit(**at); ++*at)
		n = MIN(n * 10 + (size_t)(**at - '0'), (size_t)MANGLED_MAX);
	return n;
}

/*
 * How deep a C++ name may nest at most: every byte outside of identifiers
 * (<length><bytes>) may open a level.  Numbers before '_' or 'E', and all in
 * literals (L...E), are no lengths.
 */
static size_t levels_of(const char *mangled)
{
	const char *s = mangled, *end = mangled + strlen(mangled);
	bool in_literal = false;
	size_t levels = 0;

	while (s < end) {
		if (is_digit(*s)) {
			size_t n = number_at(&s);

			if (!in_literal && *s != '_' && *s != 'E')
				s += MIN(n, (size_t)(end - s));
		} else {
			in_literal = *s == 'L' || (in_literal && *s != 'E');
			s++;
		}
		levels++;
	}
	return levels;
}

static bool fits_on_stack(const char *mangled, size_t len)
{
	size_t levels = MIN(levels_of(mangled), (size_t)LEVELS_MAX);

	return len * STACK_PER_BYTE + levels * STACK_PER_LEVEL <= STACK_MAX;
}

static bool looks_mangled(const char *s)
{
	return (s[0] == '_' && (s[1] == 'Z' || s[1] == 'R')) || strncmp(s, "__Z", 3) == 0;
}

/*
 * Rust first: its older names are C++ names with a hash in them.  Returns
 * whether `s` holds a name, whole or cut.
 */
static NOINLINE bool ask_library(const char *mangled, struct sink *s)
{
	int options = DMGL_ANSI | DMGL_NO_RECURSE_LIMIT;

	if (__builtin_setjmp(s->enough))
		return true;
	if (rust_demangle_callback(mangled, 0, take_text, s) && s->text.len)
		return true;
	s->text.len = 0;
	return cplus_demangle_v3_callback(mangled, options, take_text, s) && s->text.len;
}

static void drop_clone_suffix(struct text *t)
{
	char *suffix = strstr(t->at, " [clone ");

	if (suffix)
		t->len = (size_t)(suffix - t->at);
}

/* Whole characters only: bytes that go on with one are left out at the front. */
static const char *tail_of(const char *name, size_t len, size_t bytes)
{
	const char *s = name + len - bytes;

	while (((uint8_t)*s & 0xc0) == 0x80)
		s++;
	return s;
}

#define MARK_BYTES 24 /* "...#0123456789abcdef..." and NUL */
#define HEAD_BYTES ((NAME_MAX_BYTES - MARK_BYTES) / 2)

static size_t finish(char *to, const char *name, size_t len, const char *mangled)
{
	struct text t = { .at = to, .size = NAME_MAX_BYTES + 1 };
	const char *tail;
	char clean[HEAD_BYTES + 1];

	if (len <= NAME_MAX_BYTES)
		return utf8_copy(to, NAME_MAX_BYTES + 1, name, len);
	tail = tail_of(name, len, HEAD_BYTES);
	t.len = utf8_copy(to, HEAD_BYTES + 1, name, len);
	text_str(&t, "...#");
	text_hex(&t, text_hash_more(TEXT_HASH_INIT, mangled, strlen(mangled)));
	text_str(&t, "...");
	text_bytes(&t, clean, utf8_copy(clean, sizeof(clean), tail, (size_t)(name + len - tail)));
	return t.len;
}

struct d_name {
	const char *mangled;
	char *name; /* in the arena of the moment */
};

static void ask_for_d(void *arg)
{
	struct d_name *d = arg;

	d->name = dlang_demangle(d->mangled, 0);
}

/* False when it is no name of D's, or too long a one. */
static bool demangle_d(const char *mangled, size_t len, struct text *out)
{
	struct arena memory = ARENA_INIT(D_MEMORY_MAX), *before;
	struct d_name d = { .mangled = mangled };
	bool ok;

	if (strncmp(mangled, "_D", 2) != 0 || len > D_BYTES_MAX)
		return false;
	before = lib_memory_use(&memory);
	ok = lib_try(ask_for_d, &d) == 0 && d.name;
	lib_memory_use(before);
	if (ok)
		text_str(out, d.name);
	arena_release(&memory);
	return ok;
}

size_t demangle(const char *mangled, char to[NAME_MAX_BYTES + 1])
{
	size_t len = strnlen(mangled, MANGLED_MAX + 1);
	static char buf[OUTPUT_BYTES]; /* too much for the stack beside the library */
	struct sink s = { .text = TEXT_INIT(buf) };

	buf[0] = '\0';
	if (demangle_d(mangled, len, &s.text))
		return finish(to, s.text.at, s.text.len, mangled);
	if (!looks_mangled(mangled) || len > MANGLED_MAX || !fits_on_stack(mangled, len) ||
	    !ask_library(mangled, &s))
		return finish(to, mangled, len, mangled);
	drop_clone_suffix(&s.text);
	return finish(to, s.text.at, s.text.len, mangled);
}
