#include "sampler/process/maps.h"

#include <stdbool.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/maps_reader.h"

struct search {
	struct arena *arena;
	const uint64_t *pc;
	size_t count;
	size_t next; /* first address not below the mappings seen so far */
	const struct maps_range **out;
	struct maps_range *last; /* newest range made */
};

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static void strip_deleted(char *path)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(path);

	if (len >= sizeof(deleted) && strcmp(path + len - sizeof(deleted) + 1, deleted) == 0)
		path[len - sizeof(deleted) + 1] = '\0';
}

/* What stands for the file: its path, or a name in brackets for memory without one. */
static const char *file_of(char *path)
{
	static const char *const jit[] = { "/memfd:", "/dev/zero", "/SYSV", "//anon", "[anon" };

	if (!*path)
		return "[anon]";
	for (size_t i = 0; i < ARRAY_SIZE(jit); i++)
		if (starts_with(path, jit[i]))
			return "[jit]";
	strip_deleted(path);
	return path;
}

/* "/a/b.so" becomes "[b.so]"; what has brackets keeps them. */
static const char *code_name(struct arena *a, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	size_t len = strlen(base);
	char *name;

	if (base[0] == '[')
		return base;
	name = arena_alloc(a, len + 3);
	if (!name)
		return NULL;
	name[0] = '[';
	memcpy(name + 1, base, len);
	name[len + 1] = ']';
	return name;
}

static bool continues(const struct maps_range *r, const struct maps_line *m, const char *file)
{
	if (!r || r->limit != m->start || strcmp(r->file, file) != 0)
		return false;
	return file[0] == '[' || r->offset + (r->limit - r->start) == m->offset;
}

static struct maps_range *new_range(struct arena *a, const struct maps_line *m, const char *file)
{
	struct maps_range *r = arena_alloc(a, sizeof(*r));

	if (!r)
		return NULL;
	r->start = m->start;
	r->limit = m->limit;
	r->offset = file[0] == '[' ? 0 : m->offset;
	r->file = arena_strndup(a, file, strlen(file));
	r->name = r->file ? code_name(a, r->file) : NULL;
	return r->name ? r : NULL;
}

/* A range is made only where an address is; one that continues the last joins it. */
static bool visit(struct search *s, struct maps_line *m)
{
	const char *file = file_of(m->path);

	while (s->next < s->count && s->pc[s->next] < m->start)
		s->next++;
	if (continues(s->last, m, file))
		s->last->limit = m->limit;
	else if (s->next < s->count && s->pc[s->next] < m->limit)
		s->last = new_range(s->arena, m, file);
	else
		return true;
	if (!s->last)
		return false;
	while (s->next < s->count && s->pc[s->next] < m->limit)
		s->out[s->next++] = s->last;
	return true;
}

static bool search_lines(struct maps_reader *r, struct search *s)
{
	struct maps_line m;

	while (s->next < s->count && maps_next(r, &m)) {
		if (m.executable && !visit(s, &m))
			return false;
	}
	return true;
}

int maps_find(struct arena *a, const uint64_t *pc, size_t count, const struct maps_range **range)
{
	struct search s = { .arena = a, .pc = pc, .count = count, .out = range };
	struct maps_reader *r = arena_alloc(a, sizeof(*r));
	bool done;

	memset(range, 0, count * sizeof(*range));
	if (!r)
		return -1;
	if (!maps_open(r))
		return 0;
	done = search_lines(r, &s);
	maps_close(r);
	return done ? 0 : -1;
}
