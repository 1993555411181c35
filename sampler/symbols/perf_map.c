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

/* `line` ends with NUL, where its newline was. */
static bool take_line(struct jit_search *s, const char *line, const char *end)
{
	const char *at = line;
	uint64_t start = take_hex(&at), size;
	size_t first, n;

	if (*at++ != ' ')
		return true;
	size = take_hex(&at);
	if (*at++ != ' ' || at >= end)
		return true;
	n = jit_search_covered(s, start, size, &first);
	return n == 0 || jit_search_name(s, first, n, at, (size_t)(end - at));
}

/* Takes all whole lines of the block; returns how many bytes they had, or -1 for enough. */
static long take_lines(struct jit_search *s, size_t len)
{
	char *at = s->block, *limit = s->block + len, *end;

	while ((end = memchr(at, '\n', (size_t)(limit - at)))) {
		*end = '\0';
		if (!take_line(s, at, end))
			return -1;
		at = end + 1;
	}
	return at - s->block;
}

bool perf_map_read(struct jit_search *s, int fd, uint64_t size)
{
	uint64_t at = size > MAP_BYTES_MAX ? size - MAP_BYTES_MAX : 0;
	bool whole = at == 0;
	size_t kept = 0;

	for (;;) {
		long taken, n = sys_pread(fd, s->block + kept, JIT_BLOCK_BYTES - kept, at);

		if (n <= 0)
			return whole && n == 0;
		at += (uint64_t)n;
		kept += (size_t)n;
		taken = take_lines(s, kept);
		if (taken < 0 || sys_now_ns() > s->deadline_ns || at > size + MAP_BYTES_MAX)
			return false;
		if (taken == 0 && kept == JIT_BLOCK_BYTES) /* no line: left out */
			taken = (long)kept;
		kept -= (size_t)taken;
		memmove(s->block, s->block + taken, kept);
	}
}
