#include "sampler/symbols/jit_search.h"

#include <string.h>

#include "sampler/base/sort.h"
#include "sampler/base/utf8.h"
#include "sampler/symbols/demangle.h"

size_t jit_search_covered(const struct jit_search *s, uint64_t start, uint64_t size, size_t *first)
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

static bool any_is_unnamed(const struct jit_search *s, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		if (!s->is_done[i])
			return true;
	return false;
}

static void give(struct jit_search *s, size_t i, const char *name)
{
	if (s->is_done[i])
		return;
	s->is_done[i] = true;
	s->unnamed--;
	s->frame[i] = (struct symbol_frame){ .name = name, .system_name = name, .file = "" };
}

bool jit_search_name(struct jit_search *s, size_t first, size_t count, const char *name, size_t len,
		     const char **kept)
{
	char clean[NAME_MAX_BYTES + 1];

	*kept = NULL;
	len = utf8_copy(clean, sizeof(clean), name, len);
	if (len == 0)
		return true;
	if (len > s->name_bytes_left)
		return false;
	s->name_bytes_left -= len;
	*kept = arena_strndup(s->arena, clean, len);
	for (size_t i = first; *kept && i < first + count; i++)
		give(s, i, *kept);
	return *kept;
}

struct visit {
	struct jit_search *s;
	const struct jit_reader *reader;
	bool ok;
};

static bool name_entry(const struct jit_entry *e, void *arg)
{
	struct visit *v = arg;
	struct jit_search *s = v->s;
	size_t first, n = jit_search_covered(s, e->start, e->size, &first);

	if (n == 0)
		return true;
	v->ok = n <= s->steps_left;
	if (!v->ok)
		return false;
	s->steps_left -= n;
	if (any_is_unnamed(s, first, n))
		v->ok = v->reader->name(s, e, first, n);
	return v->ok && s->unnamed;
}

bool jit_search_file(struct jit_search *s, const struct jit_reader *r, const struct stat *st)
{
	struct visit v = { s, r, true };
	uint64_t read_to = 0;
	bool whole;

	jit_index_open(s->index, s->fd, st);
	whole = r->read(s, (uint64_t)st->st_size, &read_to);
	jit_index_close(s->index, s->fd, read_to);
	s->unnamed = s->count;
	memset(s->is_done, 0, s->count * sizeof(*s->is_done));
	jit_index_each(s->index, name_entry, &v);
	return whole && v.ok && !s->index->has_forgotten;
}
