#include "http/tree_past.h"

#include <string.h>

#include "proto/share.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/descendants.h"

#define KEPT_MAX   8192 /* four profiles of a thousand, and as many that ended */
#define KEPT_BYTES (32UL << 20)
#define SUM_BYTES  (8UL << 20) /* of those without a number, of one page */
#define PAGES_MAX  8

struct kept {
	const char *page; /* NULL: free */
	int pid;
	uint64_t start, image; /* as in struct process */
	char process[PROCESS_NAME_BYTES];
	uint8_t *bytes;
	size_t len;
	uint64_t turn; /* of the last answer */
	bool has_ended;
};

/* Those that ended, without their numbers. */
struct sum {
	const char *page;
	unsigned growing_values;
	struct stack_table stacks;
	struct arena arena;
	struct owner_table owners;
};

struct past {
	struct kept kept[KEPT_MAX];
	struct sum sum[PAGES_MAX];
	size_t bytes;
	uint64_t turn;
};

static struct past *past;
static int past_pid; /* whose it is: a forked child does not have the memory */

static struct past *get(void)
{
	if (past && past_pid == sys_getpid())
		return past;
	past = sys_map(sizeof(*past));
	past_pid = sys_getpid();
	return past;
}

static void forget(struct kept *k)
{
	past->bytes -= k->len;
	sys_unmap(k->bytes, k->len);
	*k = (struct kept){ 0 };
}

/* ---- those that ended longest ago */

static struct sum *sum_of(const char *page)
{
	for (size_t i = 0; i < PAGES_MAX; i++) {
		struct sum *s = &past->sum[i];

		if (s->page && strcmp(s->page, page) != 0)
			continue;
		if (!s->page) {
			s->page = page;
			s->arena.limit = SUM_BYTES;
			s->owners.arena = &s->arena;
			stack_table_init(&s->stacks, SUM_BYTES);
		}
		return s;
	}
	return NULL;
}

static struct kept *oldest(bool has_ended)
{
	struct kept *found = NULL;

	for (size_t i = 0; i < KEPT_MAX; i++) {
		struct kept *k = &past->kept[i];

		if (k->page && k->has_ended == has_ended && (!found || k->turn < found->turn))
			found = k;
	}
	return found;
}

static void fold(struct kept *k)
{
	struct sum *s = sum_of(k->page);
	struct share_result result;

	if (s)
		share_add(&s->stacks, &s->owners, 0, k->process, (struct bytes){ k->bytes, k->len },
			  &result);
	forget(k);
}

/* False: all that is kept is of processes that are there. */
static bool make_room(size_t len)
{
	while (past->bytes + len > KEPT_BYTES) {
		struct kept *k = oldest(true);

		if (!k)
			return false;
		fold(k);
	}
	return true;
}

static struct kept *free_place(void)
{
	struct kept *k;

	for (size_t i = 0; i < KEPT_MAX; i++)
		if (!past->kept[i].page)
			return &past->kept[i];
	k = oldest(true);
	if (!k)
		return NULL;
	fold(k);
	return k;
}

/* ---- answers */

static bool is_of(const struct kept *k, const struct process *p)
{
	return k->start == p->start && (k->image == p->image || !k->image || !p->image);
}

/* One that ended while it answered has no start any more: it is the one that was known last. */
static struct kept *find(const char *page, const struct process *p)
{
	struct kept *found = NULL;

	for (size_t i = 0; i < KEPT_MAX; i++) {
		struct kept *k = &past->kept[i];

		if (k->page && k->pid == p->pid && strcmp(k->page, page) == 0 &&
		    (is_of(k, p) || !p->start) && (!found || found->turn < k->turn))
			found = k;
	}
	return found;
}

/* The start is 0 where it has ended. */
static struct process process_now(int pid)
{
	struct process p;

	return process_read(pid, &p) && p.state != 'Z' ? p : (struct process){ .pid = pid };
}

/* What had answered is there no more: also where it has executed another program. */
static bool is_gone(const struct kept *k)
{
	struct process now = process_now(k->pid);

	return k->start == 0 || !is_of(k, &now);
}

bool tree_past_keep(const char *page, int pid, const char *process, struct bytes answer)
{
	struct process now = process_now(pid);
	struct kept *k = get() ? find(page, &now) : NULL;
	uint8_t *bytes;

	if (!past)
		return false;
	if (k)
		forget(k);
	else
		k = free_place();
	bytes = k && answer.len && make_room(answer.len) ? sys_map(answer.len) : NULL;
	if (!bytes) {
		counter_add(COUNTER_MEMBERS_FORGOTTEN, 1);
		return false;
	}
	memcpy(bytes, answer.at, answer.len);
	*k = (struct kept){ .page = page,
			    .pid = pid,
			    .start = now.start,
			    .image = now.image,
			    .bytes = bytes,
			    .len = answer.len,
			    .turn = past->turn };
	memcpy(k->process, process, MIN(strlen(process), sizeof(k->process) - 1));
	past->bytes += answer.len;
	return true;
}

bool tree_past_has(int pid)
{
	if (!past || past_pid != sys_getpid())
		return false;
	for (size_t i = 0; i < KEPT_MAX; i++)
		if (past->kept[i].page && past->kept[i].pid == pid)
			return true;
	return false;
}

void tree_past_begin(void)
{
	if (get())
		past->turn++;
}

/* Takes from what was added all but the first values: what a process held it does not hold now. */
static void drop_values(const struct stack_table *t, unsigned growing)
{
	for (size_t i = 0; i < t->count; i++)
		for (unsigned k = growing; k < STACK_VALUES_MAX; k++)
			t->list[i]->value[k] = 0;
}

static void add_kept(const struct tree_past_visit *v, struct kept *k)
{
	struct arena arena = ARENA_INIT(SUM_BYTES);
	struct owner_table owners = { .arena = &arena };
	struct stack_table t;
	struct share_result result;

	stack_table_init(&t, SUM_BYTES);
	share_add(&t, &owners, k->pid, k->process, (struct bytes){ k->bytes, k->len }, &result);
	if (k->has_ended)
		drop_values(&t, v->growing_values);
	share_add_own(v->into, v->owners, 0, NULL, &t, &owners);
	stack_table_release(&t);
	arena_release(&arena);
}

void tree_past_add(const struct tree_past_visit *v)
{
	if (!get())
		return;
	for (size_t i = 0; i < KEPT_MAX; i++) {
		struct kept *k = &past->kept[i];

		if (!k->page || strcmp(k->page, v->page) != 0 || k->turn == past->turn)
			continue;
		k->has_ended |= is_gone(k);
		if (v->is_wanted(k->pid, k->process, v->arg))
			add_kept(v, k);
	}
	for (size_t i = 0; i < PAGES_MAX; i++) {
		struct sum *s = &past->sum[i];

		if (!s->page || strcmp(s->page, v->page) != 0 || !v->is_wanted(0, "", v->arg))
			continue;
		drop_values(&s->stacks, v->growing_values);
		share_add_own(v->into, v->owners, 0, NULL, &s->stacks, &s->owners);
	}
}
