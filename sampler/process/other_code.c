#include "sampler/process/other_code.h"

#include <string.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/text.h"
#include "sampler/process/maps_reader.h"
#include "sampler/process/modules.h"
#include "sampler/process/peek.h"

#define RANGES_MAX 4096
#define AGAIN_NS   NS_PER_SECOND
#define AGAIN_COST 100

struct range {
	uint64_t start, limit;
	uint64_t original; /* of `start`; 0: no copy */
};

struct list {
	struct maps_reader reader;
	size_t count;
	struct range range[RANGES_MAX]; /* ascending */
	char jitdump[MODULE_PATH_MAX];
};

static struct {
	struct list *now, *before; /* `before` while its copies are compared */
	size_t compared[2];	   /* of `now` and of `before` */
	int64_t again_ns;
} other;

/* Do the two hold the same code?  Its first page tells. */
static bool is_same_code(uint64_t a, uint64_t b)
{
	char page[2][PAGE_BYTES / 4];

	return peek(a, page[0], sizeof(page[0])) && peek(b, page[1], sizeof(page[1])) &&
	       memcmp(page[0], page[1], sizeof(page[0])) == 0;
}

/* The part of a mapping that a module has too, at the same offset in its file. */
static bool is_copy_of(const struct module *m, const struct maps_line *line, struct range *out)
{
	for (uint32_t i = 0; i < m->range_count; i++) {
		const struct module_range *r = &m->range[i];
		uint64_t first = MAX(line->offset, r->offset);
		uint64_t end = MIN(line->offset + (line->limit - line->start),
				   r->offset + (r->limit - r->start));

		*out = (struct range){ .start = line->start + (first - line->offset),
				       .limit = line->start + (end - line->offset),
				       .original = r->start + (first - r->offset) };
		if (first < end && is_same_code(out->start, out->original))
			return true;
	}
	return false;
}

static bool find_original(const struct maps_line *line, struct range *out)
{
	for (size_t i = 0; i < modules_count(); i++) {
		const struct module *m = module_at(i);

		if (m->is_loaded && !m->is_vdso && is_copy_of(m, line, out))
			return true;
	}
	return false;
}

static void add(struct list *l, struct range r)
{
	struct range *last = l->count ? &l->range[l->count - 1] : NULL;

	if (last && last->limit == r.start && !last->original && !r.original)
		last->limit = r.limit;
	else if (l->count < RANGES_MAX)
		l->range[l->count++] = r;
}

/* A forked process has its parent's mapped as well as its own. */
static bool is_jitdump(const char *path)
{
	const char *base = strrchr(path, '/');
	char own[32];
	struct text t = TEXT_INIT(own);

	text_str(&t, "/jit-");
	text_i64(&t, sys_getpid());
	text_str(&t, ".dump");
	return base && strcmp(base, own) == 0;
}

static void note_jitdump(struct list *l, const char *path)
{
	size_t len = strlen(path);

	if (is_jitdump(path) && len < sizeof(l->jitdump))
		memcpy(l->jitdump, path, len + 1);
}

/* Code of a loaded object is none of this. */
static void take_line(struct list *l, const struct maps_line *line)
{
	struct range copy;

	if (module_find(line->start))
		return;
	note_jitdump(l, line->path);
	if (line->path[0] == '/' && find_original(line, &copy)) {
		add(l, (struct range){ line->start, copy.start, 0 });
		add(l, copy);
		add(l, (struct range){ copy.limit, line->limit, 0 });
	} else {
		add(l, (struct range){ line->start, line->limit, 0 });
	}
}

static void read_list(struct list *l)
{
	struct maps_line line;

	if (!maps_open(&l->reader))
		return;
	while (maps_next(&l->reader, &line))
		if (line.executable)
			take_line(l, &line);
	maps_close(&l->reader);
}

static void drop(struct list **l)
{
	if (*l)
		sys_unmap(*l, sizeof(**l));
	*l = NULL;
}

static void refresh(void)
{
	int64_t begun_ns = sys_now_ns(), now_ns;
	struct list *l = begun_ns < other.again_ns ? NULL : sys_map(sizeof(*l));

	if (!l)
		return;
	read_list(l);
	drop(&other.before);
	other.before = other.now;
	other.now = l;
	memset(other.compared, 0, sizeof(other.compared));
	now_ns = sys_now_ns();
	other.again_ns = now_ns + MAX(AGAIN_NS, AGAIN_COST * (now_ns - begun_ns));
}

static const struct range *find(const struct list *l, uint64_t pc)
{
	size_t low = 0, high = l ? l->count : 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (l->range[middle].limit <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return l && low < l->count && l->range[low].start <= pc ? &l->range[low] : NULL;
}

bool other_code_at(uint64_t pc, uint64_t *original)
{
	const struct range *r = find(other.now, pc);

	if (!r) {
		refresh();
		r = find(other.now, pc);
	}
	*original = r && r->original ? r->original + (pc - r->start) : 0;
	return r;
}

static bool has(const struct list *l, const struct range *r)
{
	const struct range *same = find(l, r->start);

	return same && same->start == r->start && same->limit == r->limit &&
	       same->original == r->original;
}

/* The next copy of `l` that `other_list` has not. */
static const struct range *next_difference(const struct list *l, const struct list *other_list,
					   size_t *at)
{
	while (l && *at < l->count) {
		const struct range *r = &l->range[(*at)++];

		if (r->original && !has(other_list, r))
			return r;
	}
	return NULL;
}

bool other_code_take_change(uint64_t *start, uint64_t *limit)
{
	const struct range *r = next_difference(other.now, other.before, &other.compared[0]);

	if (!r)
		r = next_difference(other.before, other.now, &other.compared[1]);
	if (!r) {
		drop(&other.before);
		return false;
	}
	*start = r->start;
	*limit = r->limit;
	return true;
}

const char *other_code_jitdump(void)
{
	if (!other.now)
		refresh();
	return other.now && other.now->jitdump[0] ? other.now->jitdump : NULL;
}

void other_code_release(void)
{
	drop(&other.now);
	drop(&other.before);
}

void other_code_after_fork(void)
{
	memset(&other, 0, sizeof(other));
}
