/* Lines "START SIZE NAME", numbers to base 16, with or without 0x; the name is the rest. */
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/number.h"
#include "sampler/base/sys.h"
#include "sampler/symbols/jit_search.h"

#define MAP_BYTES_MAX (128UL << 20) /* of a longer one, the end: entries there are younger */

static uint64_t take_hex(const char **at)
{
	const char *s = *at;

	if (s[0] == '0' && (s[1] | 0x20) == 'x')
		*at += 2;
	s = *at;
	return number_digit(*s) < 0 ? 0 : number_take(at, 16);
}

/* `line` ends with NUL, where its newline was, and begins at `line_at` in the file. */
static bool take_line(struct jit_search *s, const char *line, const char *end, uint64_t line_at)
{
	struct jit_entry e = { 0 };
	const char *at = line;
	uint64_t size, limit;

	e.start = take_hex(&at);
	if (*at++ != ' ')
		return true;
	size = take_hex(&at);
	if (*at++ != ' ' || at >= end || !size || __builtin_add_overflow(e.start, size, &limit))
		return true;
	e.size = (uint32_t)MIN(size, (uint64_t)UINT32_MAX);
	e.at = line_at + (uint64_t)(at - line);
	return jit_index_add(s->index, &e);
}

/*
 * Takes all whole lines of the block, which begins at `block_at` in the file; returns how many
 * bytes they had, or -1 without memory.
 */
static long take_lines(struct jit_search *s, size_t len, uint64_t block_at)
{
	char *at = s->block, *limit = s->block + len, *end;

	while ((end = memchr(at, '\n', (size_t)(limit - at)))) {
		*end = '\0';
		if (!take_line(s, at, end, block_at + (uint64_t)(at - s->block)))
			return -1;
		at = end + 1;
	}
	return at - s->block;
}

/* `at` is where the next line begins, perhaps in the middle of one when that is the first. */
static bool read_map(struct jit_search *s, uint64_t size, uint64_t *read_to)
{
	uint64_t at = s->index->read_to;
	bool whole = true;

	if (size > MAP_BYTES_MAX && at < size - MAP_BYTES_MAX) {
		at = size - MAP_BYTES_MAX;
		whole = false;
	}
	for (;;) {
		long taken, n = sys_pread(s->fd, s->block, JIT_BLOCK_BYTES, at);

		*read_to = at;
		taken = n > 0 ? take_lines(s, (size_t)n, at) : 0;
		if (taken == 0 && n == (long)JIT_BLOCK_BYTES) /* no line: left out */
			taken = n;
		if (taken <= 0)
			return whole && n >= 0 && taken == 0;
		at += (uint64_t)taken;
		*read_to = at;
		if (at < size && (sys_now_ns() > s->deadline_ns || at > size + MAP_BYTES_MAX))
			return false;
	}
}

static bool name_entry(struct jit_search *s, const struct jit_entry *e, size_t first, size_t count)
{
	long n = sys_pread(s->fd, s->block, JIT_BLOCK_BYTES / 16, e->at);
	const char *end = n > 0 ? memchr(s->block, '\n', (size_t)n) : NULL, *kept;

	if (n <= 0)
		return true;
	return jit_search_name(s, first, count, s->block,
			       end ? (size_t)(end - s->block) : (size_t)n, &kept);
}

const struct jit_reader perf_map_reader = { read_map, name_entry };
