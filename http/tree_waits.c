#include "http/tree_waits.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/number.h"
#include "sampler/base/sort.h"
#include "sampler/locks/deadlock.h"

#define LINE_START     "#wait "
#define LINE_MAX_BYTES 256

/* ---- one */

void tree_wait_write(struct text *t, const struct tree_wait *w)
{
	const uint64_t numbers[] = {
		(uint64_t)w->pid, (uint64_t)w->tid,	 (uint64_t)w->owner,
		w->lock,	  (uint64_t)w->since_ns, (uint64_t)w->until_ns
	};

	text_str(t, LINE_START);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		text_u64(t, numbers[i]);
		text_char(t, ' ');
	}
	for (const char *c = w->name; *c; c++)
		text_char(t, (unsigned char)*c < ' ' ? '?' : *c);
	text_char(t, '\n');
}

static bool take_number(const char **at, uint64_t limit, uint64_t *n)
{
	if (number_digit(**at) < 0 || number_digit(**at) > 9)
		return false;
	*n = number_take(at, 10);
	return *n <= limit && *(*at)++ == ' ';
}

/* `line` ends with NUL. */
static bool parse(const char *line, struct tree_wait *w)
{
	const char *at = line + strlen(LINE_START);
	uint64_t n[6];

	for (size_t i = 0; i < ARRAY_SIZE(n); i++)
		if (!take_number(&at, i < 3 ? INT_MAX : i == 3 ? UINT64_MAX : INT64_MAX, &n[i]))
			return false;
	*w = (struct tree_wait){ .pid = (int)n[0],
				 .tid = (int)n[1],
				 .owner = (int)n[2],
				 .lock = n[3],
				 .since_ns = (int64_t)n[4],
				 .until_ns = (int64_t)n[5] };
	memcpy(w->name, at, MIN(strlen(at), sizeof(w->name) - 1));
	return true;
}

static void add(struct tree_waits *all, struct arena *a, int pid, const char *line)
{
	struct tree_wait w;

	if (!all->list)
		all->list = arena_array(a, TREE_WAITS_MAX, sizeof(*all->list));
	if (all->list && all->count < TREE_WAITS_MAX && parse(line, &w) && w.pid == pid)
		all->list[all->count++] = w;
}

struct bytes tree_waits_take(struct tree_waits *all, struct arena *a, int pid, struct bytes text)
{
	const size_t start_len = strlen(LINE_START);
	char line[LINE_MAX_BYTES];

	for (int i = 0; i < TREE_WAITS_OF_ONE; i++) {
		const uint8_t *end =
			text.len > start_len && memcmp(text.at, LINE_START, start_len) == 0
				? memchr(text.at, '\n', text.len)
				: NULL;
		size_t len;

		if (!end)
			break;
		len = (size_t)(end - text.at);
		memcpy(line, text.at, MIN(len, sizeof(line) - 1));
		line[MIN(len, sizeof(line) - 1)] = '\0';
		add(all, a, pid, line);
		text = (struct bytes){ end + 1, text.len - len - 1 };
		if (text.len && text.at[0] == '\n') /* they were all that stood above the threads */
			return (struct bytes){ text.at + 1, text.len - 1 };
	}
	return text;
}

/* ---- circles */

/* next[i]: the wait of the thread that wait i is for. */
static void find_next(const struct tree_waits *all, const struct sort_pair *by_tid, uint32_t *next)
{
	for (uint32_t i = 0; i < all->count; i++) {
		uint64_t owner = (uint64_t)all->list[i].owner;
		size_t at = sort_find(by_tid, all->count, owner);

		next[i] = at < all->count && by_tid[at].key == owner ? (uint32_t)by_tid[at].value
								     : DEADLOCK_NONE;
	}
}

/* All of them were true at one moment, and not all in one process, which tells its own. */
static bool is_one(const struct tree_waits *all, uint32_t first, const uint32_t *next)
{
	int64_t since = 0, until = INT64_MAX;
	bool crosses = false;
	uint32_t i = first;

	do {
		since = MAX(since, all->list[i].since_ns);
		until = MIN(until, all->list[i].until_ns);
		crosses |= all->list[i].pid != all->list[first].pid;
		i = next[i];
	} while (i != first);
	return crosses && since <= until;
}

static void write_thread(struct text *t, const struct tree_wait *w)
{
	text_str(t, "thread ");
	text_i64(t, w->tid);
	if (*w->name) {
		text_str(t, " (");
		text_str(t, w->name);
		text_char(t, ')');
	}
	text_str(t, " of process ");
	text_i64(t, w->pid);
}

static void write_circle(struct text *t, const struct tree_waits *all, uint32_t first,
			 const uint32_t *next)
{
	uint32_t i = first;

	text_str(t, "# DEADLOCK between processes: ");
	write_thread(t, &all->list[i]);
	do {
		text_str(t, i == first ? " waits for lock 0x" : ", which waits for lock 0x");
		text_hex(t, all->list[i].lock);
		text_str(t, " held by ");
		i = next[i];
		write_thread(t, &all->list[i]);
	} while (i != first);
	text_char(t, '\n');
}

void tree_waits_tell(struct text *t, struct arena *a, const struct tree_waits *all)
{
	struct sort_pair *by_tid = arena_array(a, all->count + 1, sizeof(*by_tid));
	uint32_t *next = arena_array(a, all->count + 1, sizeof(*next));
	uint32_t *circle = arena_array(a, all->count + 1, sizeof(*circle));
	uint32_t found, told = 0;

	if (!all->count || !by_tid || !next || !circle)
		return;
	for (uint32_t i = 0; i < all->count; i++)
		by_tid[i] = (struct sort_pair){ (uint64_t)all->list[i].tid, i };
	sort_pairs(by_tid, all->count);
	find_next(all, by_tid, next);
	found = deadlock_find(next, all->count, circle);
	for (uint32_t i = 0; told < found && i < all->count; i++) {
		if (circle[i] != told)
			continue;
		if (is_one(all, i, next))
			write_circle(t, all, i, next);
		told++;
	}
}
