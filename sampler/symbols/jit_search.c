#include "sampler/symbols/jit_search.h"

#include <string.h>

#include "sampler/base/sort.h"
#include "sampler/base/utf8.h"
#include "sampler/symbols/demangle.h"

size_t jit_search_covered(struct jit_search *s, uint64_t start, uint64_t size, size_t *first)
{
	uint64_t limit;
	size_t n = 0;

	if (__builtin_add_overflow(start, size, &limit) || size == 0 ||
	    start > s->pc[s->count - 1] || limit <= s->pc[0])
		return 0;
	*first = sort_lower_bound(s->pc, s->count, start);
	while (*first + n < s->count && s->pc[*first + n] < limit)
		n++;
	return n;
}

bool jit_search_name(struct jit_search *s, size_t first, size_t count, const char *name, size_t len)
{
	char clean[NAME_MAX_BYTES + 1];
	const char *kept;

	len = utf8_copy(clean, sizeof(clean), name, len);
	if (len > s->name_bytes_left || count > s->steps_left)
		return false;
	s->name_bytes_left -= len;
	s->steps_left -= count;
	kept = s->frame[first].name && strcmp(s->frame[first].name, clean) == 0
		       ? s->frame[first].name
		       : arena_strndup(s->arena, clean, len);
	if (!kept || len == 0)
		return kept;
	for (size_t i = first; i < first + count; i++)
		s->frame[i] =
			(struct symbol_frame){ .name = kept, .system_name = kept, .file = "" };
	return true;
}
