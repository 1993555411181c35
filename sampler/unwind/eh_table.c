#include "sampler/unwind/eh_table.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sort.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/peek.h"

/* libunwind's reader of one entry; declared in none of its public headers. */
int UNW_OBJ(dwarf_extract_proc_info_from_fde)(unw_addr_space_t as, unw_accessors_t *a,
					      unw_word_t *at, unw_proc_info_t *pi, unw_word_t base,
					      int need_unwind_info, int is_debug_frame, void *arg);

#define TABLES_MAX  32
#define ENTRIES_MAX (1UL << 19) /* functions of one object: 4 MiB of table */

/* As the linker writes it: both relative to `base`. */
struct entry {
	int32_t start;
	int32_t fde;
};

struct table {
	uint64_t start, limit; /* of the object's image; 0: free */
	struct entry *entry;   /* NULL: there is no unwind data */
	size_t count, bytes;
};

static struct {
	struct table table[TABLES_MAX];
	size_t next; /* to be replaced when all are in use */
	eh_frame_finder *find;
} tables;

void eh_table_set_finder(eh_frame_finder *find)
{
	tables.find = find;
}

static void drop(struct table *t)
{
	if (t->entry)
		sys_unmap(t->entry, t->bytes);
	*t = (struct table){ 0 };
}

/* Header of .eh_frame_hdr: a version, three encodings, and where .eh_frame is. */
#define HDR_VERSION	 1
#define ENC_PCREL_SDATA4 0x1b

/* Its end is not told: a length of 0 is. */
static bool find_by_header(const struct module *m, uint64_t *start, uint64_t *limit)
{
	uint8_t head[8];
	int32_t distance;

	if (!m->eh_frame_hdr || !peek_cached(m->eh_frame_hdr, head, sizeof(head)) ||
	    head[0] != HDR_VERSION || head[1] != ENC_PCREL_SDATA4)
		return false;
	memcpy(&distance, head + 4, sizeof(distance));
	*start = m->eh_frame_hdr + 4 + (uint64_t)(int64_t)distance;
	*limit = m->image_limit;
	return *start >= m->image_start && *start < m->image_limit;
}

/* Between the parts that came from different objects there may be lengths of 0 too. */
static bool skip_end_mark(uint64_t *at, bool is_limit_known)
{
	uint32_t length;

	if (!is_limit_known || !peek_cached(*at, &length, sizeof(length)) || length)
		return false;
	*at += sizeof(length);
	return true;
}

/* Lists the entries in [at, limit); returns how many, and stops at the first that is none. */
static size_t list_entries(struct sort_pair *pair, const struct module *m, unw_addr_space_t as,
			   void *arg, uint64_t at, uint64_t limit)
{
	bool is_limit_known = limit != m->image_limit;
	size_t n = 0;

	while (n < ENTRIES_MAX && at + 4 <= limit) {
		unw_proc_info_t pi = { 0 };
		unw_word_t next = at;

		if (skip_end_mark(&at, is_limit_known))
			continue;
		if (UNW_OBJ(dwarf_extract_proc_info_from_fde)(as, unw_get_accessors(as), &next, &pi,
							      0, 0, 0, arg) < 0 ||
		    next <= at)
			break;
		if (pi.start_ip >= m->image_start && pi.start_ip < m->image_limit &&
		    pi.end_ip > pi.start_ip)
			pair[n++] = (struct sort_pair){ pi.start_ip, at };
		at = next;
	}
	return n;
}

static void fill(struct table *t, struct sort_pair *pair, size_t count)
{
	size_t bytes = ALIGN_UP(count * sizeof(*t->entry), PAGE_BYTES);

	t->entry = count ? sys_map(bytes) : NULL;
	if (!t->entry)
		return;
	sort_pairs(pair, count);
	for (size_t i = 0; i < count; i++)
		t->entry[i] = (struct entry){ (int32_t)(pair[i].key - t->start),
					      (int32_t)(pair[i].value - t->start) };
	t->count = count;
	t->bytes = bytes;
}

static void make(struct table *t, const struct module *m, unw_addr_space_t as, void *arg)
{
	struct sort_pair *pair = NULL;
	uint64_t start, limit;

	t->start = m->image_start;
	t->limit = m->image_limit;
	if (t->limit - t->start > INT32_MAX ||
	    !(find_by_header(m, &start, &limit) || (tables.find && tables.find(m, &start, &limit))))
		return;
	if (start >= m->image_start && limit <= m->image_limit)
		pair = sys_map(ENTRIES_MAX * sizeof(*pair));
	if (!pair)
		return;
	fill(t, pair, list_entries(pair, m, as, arg, start, limit));
	sys_unmap(pair, ENTRIES_MAX * sizeof(*pair));
}

static struct table *find(const struct module *m)
{
	for (size_t i = 0; i < TABLES_MAX; i++)
		if (tables.table[i].start == m->image_start &&
		    tables.table[i].limit == m->image_limit)
			return &tables.table[i];
	return NULL;
}

/* That there is none is remembered, too. */
static struct table *find_or_make(const struct module *m, unw_addr_space_t as, void *arg)
{
	struct table *t = find(m);

	if (t)
		return t;
	t = &tables.table[tables.next++ % TABLES_MAX];
	drop(t);
	make(t, m, as, arg);
	return t;
}

bool eh_table_describe(const struct module *m, unw_addr_space_t as, void *arg, unw_dyn_info_t *di)
{
	const struct table *t = find_or_make(m, as, arg);

	if (!t->entry)
		return false;
	memset(di, 0, sizeof(*di));
	di->format = UNW_INFO_FORMAT_REMOTE_TABLE;
	di->start_ip = m->image_start;
	di->end_ip = m->image_limit;
	di->u.rti.segbase = t->start;
	di->u.rti.table_data = (unw_word_t)t->entry;
	di->u.rti.table_len = t->count * sizeof(*t->entry) / sizeof(unw_word_t);
	return true;
}

bool eh_table_read(uint64_t addr, unw_word_t *out)
{
	for (size_t i = 0; i < TABLES_MAX; i++) {
		const struct table *t = &tables.table[i];
		uint64_t at = addr - (uint64_t)t->entry;

		if (t->entry && at < t->count * sizeof(*t->entry)) {
			memcpy(out, (const char *)t->entry + at, sizeof(*out));
			return true;
		}
	}
	return false;
}

void eh_table_forget(uint64_t start, uint64_t limit)
{
	for (size_t i = 0; i < TABLES_MAX; i++)
		if (tables.table[i].start < limit && start < tables.table[i].limit)
			drop(&tables.table[i]);
}

void eh_table_release(void)
{
	for (size_t i = 0; i < TABLES_MAX; i++)
		drop(&tables.table[i]);
}

void eh_table_after_fork(void)
{
	memset(tables.table, 0, sizeof(tables.table));
}
