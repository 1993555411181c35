#include "proto/top_text.h"

#include <stdbool.h>
#include <string.h>

#include "proto/growing_text.h"
#include "proto/name_sums.h"
#include "proto/order.h"
#include "sampler/base/cc.h"
#include "sampler/unwind/stacks.h"

#define TOP		 40
#define TREE_PER_MILLE	 5 /* of the total; what is smaller is not in the tree */
#define TREE_DEPTH_MAX	 1024
#define SHOWN_PER_COLUMN 11

/* A level of the tree: samples order[from] ... order[to - 1] have the same names up to there. */
struct level {
	size_t from, to, next; /* next: where to look for the next child */
};

struct job {
	const struct message *message;
	struct name_sums sums;
	size_t value;
	const char *unit;
	uint32_t *rank;	 /* numbers of names, the largest flat first */
	uint32_t *place; /* of each name in the order of what it has with its callees */
	uint32_t *order; /* samples by the places of their names from the root */
	struct level *level;
	int64_t total, amount; /* with and without signs */
	uint64_t with_value;   /* samples that have one */
};

static int64_t value_of(const struct job *j, size_t sample)
{
	return j->message->sample[sample].value[j->value];
}

static int64_t amount(int64_t n)
{
	return n < 0 ? -n : n;
}

/* ---- numbers */

static void pad(struct text *t, size_t len, size_t to)
{
	for (; len < to; len++)
		text_char(t, ' ');
}

static void write_hundredths(struct text *t, double n)
{
	uint64_t hundredths = (uint64_t)(n * 100 + 0.5);

	text_u64(t, hundredths / 100);
	text_str(t, hundredths % 100 < 10 ? ".0" : ".");
	text_u64(t, hundredths % 100);
}

static void write_amount(struct text *t, int64_t value, const char *unit)
{
	static const char *const bytes[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL },
				 *const time[] = { "ns", "us", "ms", "s", NULL };
	bool is_bytes = strcmp(unit, "bytes") == 0, is_time = strcmp(unit, "nanoseconds") == 0;
	const char *const *scale = is_bytes ? bytes : time;
	double n = (double)amount(value), step = is_bytes ? 1024 : 1000;

	text_str(t, value < 0 ? "-" : "");
	if ((!is_bytes && !is_time) || n < step) {
		text_u64(t, (uint64_t)amount(value));
		text_str(t, is_bytes || is_time ? *scale : "");
		return;
	}
	for (; n >= step && scale[1]; n /= step)
		scale++;
	write_hundredths(t, n);
	text_str(t, *scale);
}

static void write_share(struct text *t, const struct job *j, int64_t value)
{
	text_str(t, value < 0 ? "-" : "");
	write_hundredths(t, j->amount ? 100.0 * (double)amount(value) / (double)j->amount : 0);
	text_char(t, '%');
}

/* A value and its share in columns that end where their heads do. */
static void write_columns(struct text *t, const struct job *j, int64_t value)
{
	char buf[64];
	struct text column = TEXT_INIT(buf);

	write_amount(&column, value, j->unit);
	pad(t, column.len, SHOWN_PER_COLUMN);
	text_bytes(t, buf, column.len);
	column.len = 0;
	write_share(&column, j, value);
	pad(t, column.len, SHOWN_PER_COLUMN - 2);
	text_bytes(t, buf, column.len);
}

/* ---- the list */

static void add_up(struct job *j)
{
	for (size_t i = 0; i < j->sums.stacks.count; i++) {
		int64_t v = value_of(j, i);

		j->total += v;
		j->amount += amount(v);
		j->with_value += v != 0;
	}
}

static bool ranks_before(const void *arg, uint32_t a, uint32_t b)
{
	const struct job *j = arg;
	const struct name_sum *x = &j->sums.sum[a], *y = &j->sums.sum[b];

	if (amount(x->flat) != amount(y->flat))
		return amount(x->flat) > amount(y->flat);
	if (amount(x->cum) != amount(y->cum))
		return amount(x->cum) > amount(y->cum);
	return strcmp(j->sums.stacks.name[a], j->sums.stacks.name[b]) < 0;
}

static bool has_more(const void *arg, uint32_t a, uint32_t b)
{
	const struct job *j = arg;

	return amount(j->sums.sum[a].cum) > amount(j->sums.sum[b].cum);
}

/* Of two branches the one whose function has more in all comes first. */
static bool comes_before(const void *arg, uint32_t a, uint32_t b)
{
	const struct job *j = arg;
	const struct name_stacks *s = &j->sums.stacks;
	uint32_t x = s->start[a], y = s->start[b];

	while (x < s->start[a + 1] && y < s->start[b + 1] && s->frame[x] == s->frame[y])
		x++, y++;
	if (x == s->start[a + 1] || y == s->start[b + 1])
		return x == s->start[a + 1] && y < s->start[b + 1];
	return j->place[s->frame[x]] < j->place[s->frame[y]];
}

/* Fills in `place`; `rank` is used meanwhile. */
static void place_names(struct job *j)
{
	order_by(j->rank, j->sums.stacks.name_count, has_more, j);
	for (size_t i = 0; i < j->sums.stacks.name_count; i++)
		j->place[j->rank[i]] = (uint32_t)i;
}

static void write_list(struct text *t, const struct job *j)
{
	size_t all = 0, count;

	while (all < j->sums.stacks.name_count &&
	       (j->sums.sum[j->rank[all]].flat || j->sums.sum[j->rank[all]].cum))
		all++;
	count = MIN(all, (size_t)TOP);
	text_str(t, "\n       flat    flat%        cum     cum%  function\n");
	for (size_t i = 0; i < count; i++) {
		const struct name_sum *s = &j->sums.sum[j->rank[i]];

		write_columns(t, j, s->flat);
		write_columns(t, j, s->cum);
		text_str(t, "  ");
		text_str(t, j->sums.stacks.name[j->rank[i]]);
		text_char(t, '\n');
	}
	if (count == all)
		return;
	text_str(t, "and ");
	text_u64(t, all - count);
	text_str(t, " functions more\n");
}

/* ---- the tree */

/* The child of `l` at depth `deep` that begins at order[at]: where it ends, and what is in it. */
static size_t child_end(const struct job *j, const struct level *l, size_t at, uint32_t deep,
			int64_t *sum)
{
	const struct name_stacks *s = &j->sums.stacks;
	uint32_t name = s->frame[s->start[j->order[at]] + deep];

	*sum = 0;
	for (; at < l->to && s->frame[s->start[j->order[at]] + deep] == name; at++)
		*sum += value_of(j, j->order[at]);
	return at;
}

static bool is_shown(const struct job *j, int64_t sum)
{
	return (double)amount(sum) * 1000 >= (double)j->amount * TREE_PER_MILLE && sum;
}

static void write_branch(struct text *t, const struct job *j, int64_t sum, uint32_t deep,
			 const char *name)
{
	write_columns(t, j, sum);
	pad(t, 0, 2 + 2 * deep);
	text_str(t, name);
	text_char(t, '\n');
}

/* Children in the order of `order`; those that end in `l` itself come first and are none. */
static void write_tree(struct text *t, const struct job *j)
{
	const struct name_stacks *s = &j->sums.stacks;
	uint32_t deep = 0;
	int64_t sum;

	text_str(t, "\nTree of calls, what is less than 0.5% of all left out\n");
	write_branch(t, j, j->total, 0, "all");
	j->level[0] = (struct level){ 0, s->count, 0 };
	for (;;) {
		struct level *l = &j->level[deep];
		size_t from = l->next;

		while (from < l->to &&
		       s->start[j->order[from] + 1] - s->start[j->order[from]] == deep)
			from++;
		if (from >= l->to || t->cut) {
			if (deep-- == 0)
				return;
			continue;
		}
		l->next = child_end(j, l, from, deep, &sum);
		if (!is_shown(j, sum))
			continue;
		write_branch(t, j, sum, deep + 1,
			     s->name[s->frame[s->start[j->order[from]] + deep]]);
		if (deep + 1 < TREE_DEPTH_MAX) {
			j->level[deep + 1] = (struct level){ from, l->next, from };
			deep++;
		}
	}
}

/* ---- all of it */

/* Frames that are no code; those that stand where nothing is missing are no loss. */
static bool is_loss(const char *name)
{
	for (uint64_t id = 1; id < PSEUDO_MAIN; id++)
		if (id != PSEUDO_SIGNAL && id != PSEUDO_KERNEL &&
		    strcmp(name, pseudo_frame_name(id)) == 0)
			return true;
	return false;
}

/* What could not be measured is told even if it is little. */
static void write_losses(struct text *t, const struct job *j)
{
	for (size_t i = 0; i < j->sums.stacks.name_count; i++) {
		const char *name = j->sums.stacks.name[i];

		if (!is_loss(name) || j->sums.sum[i].cum == 0)
			continue;
		text_str(t, "# ");
		text_str(t, name);
		text_char(t, ' ');
		write_amount(t, j->sums.sum[i].cum, j->unit);
		text_str(t, ", ");
		write_share(t, j, j->sums.sum[i].cum);
		text_char(t, '\n');
	}
}

static void write_head(struct text *t, const struct job *j)
{
	const struct message *m = j->message;

	text_str(t, "Program: ");
	text_str(t, m->mapping_count ? m->mapping[0].file : "");
	text_str(t, "\nType: ");
	text_str(t, m->sample_type[j->value].type);
	if (m->duration_ns) {
		text_str(t, "\nDuration: ");
		write_amount(t, m->duration_ns, "nanoseconds");
	}
	text_str(t, "\nTotal: ");
	write_amount(t, j->total, j->unit);
	text_str(t, " (");
	text_i64(t, j->total);
	text_char(t, ' ');
	text_str(t, j->unit);
	text_str(t, ") in ");
	text_u64(t, j->with_value);
	text_str(t, " stacks\n");
	for (size_t i = 0; i < m->comment_count; i++) {
		text_str(t, "# ");
		text_str(t, m->comment[i]);
		text_char(t, '\n');
	}
	write_losses(t, j);
}

static void write_all(struct text *t, const void *arg)
{
	const struct job *j = arg;

	write_head(t, j);
	write_list(t, j);
	write_tree(t, j);
}

int top_text(struct arena *a, const struct message *m, size_t value, struct bytes *out)
{
	struct job j = { .message = m, .value = value, .unit = m->sample_type[value].unit };

	if (name_sums_of(a, m, value, &j.sums) != 0)
		return -1;
	j.rank = arena_array(a, j.sums.stacks.name_count, sizeof(*j.rank));
	j.place = arena_array(a, j.sums.stacks.name_count, sizeof(*j.place));
	j.order = arena_array(a, j.sums.stacks.count, sizeof(*j.order));
	j.level = arena_array(a, TREE_DEPTH_MAX + 1, sizeof(*j.level));
	if (!j.rank || !j.place || !j.order || !j.level)
		return -1;
	add_up(&j);
	place_names(&j);
	order_by(j.rank, j.sums.stacks.name_count, ranks_before, &j);
	order_by(j.order, j.sums.stacks.count, comes_before, &j);
	return growing_text(a, write_all, &j, out);
}
