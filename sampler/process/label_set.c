/*
 * Three tables of strings (base/numbered.h): keys, pairs (a key's number and a value), and
 * sets (pairs' numbers, in order of key).
 *
 * The program's own sets, and those that other processes of the tree answered with, have
 * quotas of their own, so that nobody drives out the others.  A key whose values have no end
 * (request ids) has one, so that other keys keep their room.
 */
#include "sampler/process/label_set.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/numbered.h"
#include "sampler/base/utf8.h"

#define MEMORY_BYTES (2UL << 20)
#define KEYS_MAX     128
#define VALUES_MAX   1024 /* of one key */
#define PAIRS_MAX    (6144 + KEYS_MAX)
/* Sets kept for those with LABEL_OTHER in them. */
#define SPARE_SETS 256

enum source { OWN, OTHERS, SOURCES };

struct quota {
	uint32_t most;
	atomic_uint used; /* of two that come at once both may still fit */
};

__thread uint32_t label_set_mine;

static struct permanent memory = { .limit = MEMORY_BYTES };

NUMBERED_TABLE(keys, KEYS_MAX, &memory);
NUMBERED_TABLE(pairs, PAIRS_MAX, &memory);
NUMBERED_TABLE(sets, LABEL_SETS_MAX, &memory);

static struct quota quota_of_keys[SOURCES] = { { .most = 64 }, { .most = KEYS_MAX - 64 } };
static struct quota quota_of_pairs[SOURCES] = { { .most = 4096 }, { .most = 2048 } };
static struct quota quota_of_sets[SOURCES] = { { .most = 2048 },
					       { .most = LABEL_SETS_MAX - 2048 } };
static atomic_uint values_of[KEYS_MAX + 1]; /* by the key's number */

/* A set that is being put together; what it is called in the table of sets. */
struct draft {
	uint32_t count;
	uint16_t pair[LABEL_PAIRS_MAX + 1];
};

/* Keys that profiles have themselves. */
static bool is_ours(const char *key)
{
	static const char *const ours[] = { "age",   "idle",   "pid", "process",
					    "state", "thread", "tid", "wait_reason" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strcmp(key, ours[i]) == 0)
			return true;
	return false;
}

static const struct numbered *add_within(struct numbered_table *t, struct quota *q, uint32_t spare,
					 const void *bytes, size_t len)
{
	const struct numbered *s = numbered_find(t, bytes, (uint32_t)len);

	if (s || atomic_load_explicit(&q->used, memory_order_relaxed) + spare >= q->most)
		return s;
	s = numbered_add(t, bytes, (uint32_t)len);
	if (s)
		atomic_fetch_add_explicit(&q->used, 1, memory_order_relaxed);
	return s;
}

/* ---- pairs */

struct pair_text {
	uint16_t key; /* its number */
	char value[LABEL_VALUE_MAX + 1];
};

#define PAIR_HEAD offsetof(struct pair_text, value)

static const struct numbered *pair_at(uint16_t number)
{
	return numbered_at(&pairs, number);
}

static uint16_t key_of(uint16_t number)
{
	uint16_t key;

	memcpy(&key, pair_at(number)->bytes, sizeof(key));
	return key;
}

static const char *key_text(uint16_t key)
{
	return numbered_at(&keys, key)->bytes;
}

/* One for each key, whatever the quotas are. */
static uint16_t other_pair(uint16_t key)
{
	struct pair_text p = { .key = key, .value = LABEL_OTHER };
	const struct numbered *n =
		numbered_add(&pairs, &p, (uint32_t)(PAIR_HEAD + sizeof(LABEL_OTHER) - 1));

	return n ? (uint16_t)n->number : 0;
}

/* 0: there is no room for one more. */
static uint16_t new_pair(const struct pair_text *p, size_t len, enum source who)
{
	const struct numbered *n;

	if (atomic_load_explicit(&values_of[p->key], memory_order_relaxed) >= VALUES_MAX)
		return 0;
	n = add_within(&pairs, &quota_of_pairs[who], 0, p, len);
	if (n)
		atomic_fetch_add_explicit(&values_of[p->key], 1, memory_order_relaxed);
	return n ? (uint16_t)n->number : 0;
}

static uint16_t pair_of(uint16_t key, const char *value, enum source who)
{
	struct pair_text p = { .key = key };
	size_t len = PAIR_HEAD + utf8_copy(p.value, sizeof(p.value), value,
					   strnlen(value, sizeof(p.value) + 3));
	const struct numbered *n = numbered_find(&pairs, &p, (uint32_t)len);
	uint16_t number = n ? (uint16_t)n->number : new_pair(&p, len, who);

	if (number)
		return number;
	counter_add(COUNTER_LABELS_OTHER, 1);
	return other_pair(key);
}

/* ---- sets */

static void take_apart(uint32_t set, struct draft *d)
{
	const struct numbered *s = numbered_at(&sets, set - FRAME_OF_LABELS + 1);

	d->count = 0;
	if (!s)
		return;
	d->count = s->len / sizeof(d->pair[0]);
	memcpy(d->pair, s->bytes, s->len);
}

static const struct numbered *add_set(const struct draft *d, enum source who, uint32_t spare)
{
	return add_within(&sets, &quota_of_sets[who], spare, d->pair,
			  d->count * sizeof(d->pair[0]));
}

/* Where a key is, or belongs. */
static uint32_t place_of(const struct draft *d, const char *key)
{
	uint32_t i = 0;

	while (i < d->count && strcmp(key_text(key_of(d->pair[i])), key) < 0)
		i++;
	return i;
}

static bool is_at(const struct draft *d, uint32_t i, const char *key)
{
	return i < d->count && strcmp(key_text(key_of(d->pair[i])), key) == 0;
}

/* What stands from there on. */
static void move(struct draft *d, uint32_t to, uint32_t from)
{
	memmove(&d->pair[to], &d->pair[from], (d->count - from) * sizeof(d->pair[0]));
	d->count += to - from;
}

static void make_other(struct draft *d, uint32_t i)
{
	uint16_t other = other_pair(key_of(d->pair[i]));

	if (other)
		d->pair[i] = other;
}

/* With LABEL_OTHER at one place first, then everywhere; at last without any label. */
static uint32_t frame_of(struct draft *d, uint32_t changed, enum source who)
{
	const struct numbered *s = d->count ? add_set(d, who, SPARE_SETS) : NULL;

	if (!s && d->count)
		counter_add(COUNTER_LABELS_OTHER, 1);
	if (!s && changed < d->count) {
		make_other(d, changed);
		s = add_set(d, who, SPARE_SETS / 2);
	}
	for (uint32_t i = 0; !s && i < d->count; i++)
		make_other(d, i);
	if (!s && d->count)
		s = add_set(d, who, 0);
	return s ? FRAME_OF_LABELS + s->number - 1 : 0;
}

static size_t clean_key(char *clean, const char *key)
{
	return utf8_copy(clean, LABEL_KEY_MAX + 1, key, strnlen(key, LABEL_KEY_MAX + 4));
}

/* 0: it may not be one. */
static uint16_t key_number(const char *clean, size_t len, enum source who)
{
	const struct numbered *n = numbered_find(&keys, clean, (uint32_t)len);

	if (!n && len && !is_ours(clean))
		n = add_within(&keys, &quota_of_keys[who], 0, clean, len);
	return n ? (uint16_t)n->number : 0;
}

/* Returns where it is, or LABEL_PAIRS_MAX: it is not, and that is counted. */
static uint32_t add_pair(struct draft *d, const char *key, const char *value, enum source who)
{
	char clean[LABEL_KEY_MAX + 1];
	uint16_t number = key_number(clean, clean_key(clean, key), who), pair = 0;
	uint32_t i = number ? place_of(d, clean) : 0;
	bool is_new = number && !is_at(d, i, clean);

	if (number && !(is_new && d->count == LABEL_PAIRS_MAX))
		pair = pair_of(number, value, who);
	if (!pair) {
		counter_add(COUNTER_LABELS_REFUSED, 1);
		return LABEL_PAIRS_MAX;
	}
	if (is_new)
		move(d, i + 1, i);
	d->pair[i] = pair;
	return i;
}

static NOINLINE uint32_t without(uint32_t set, const char *key)
{
	char clean[LABEL_KEY_MAX + 1];
	struct draft d;
	uint32_t i;

	clean_key(clean, key);
	take_apart(set, &d);
	i = place_of(&d, clean);
	if (!is_at(&d, i, clean))
		return set;
	move(&d, i, i + 1);
	return frame_of(&d, LABEL_PAIRS_MAX, OWN);
}

uint32_t label_set_with(uint32_t set, const char *key, const char *value)
{
	struct draft d;
	uint32_t changed;

	if (!key)
		return 0;
	if (!value || !*value)
		return without(set, key);
	take_apart(set, &d);
	changed = add_pair(&d, key, value, OWN);
	return changed < LABEL_PAIRS_MAX ? frame_of(&d, changed, OWN) : set;
}

uint32_t label_set_meet(const struct label_set *theirs)
{
	struct draft d = { .count = 0 };

	for (uint32_t i = 0; i < theirs->count && i < LABEL_PAIRS_MAX; i++)
		if (*theirs->value[i])
			add_pair(&d, theirs->key[i], theirs->value[i], OTHERS);
	return frame_of(&d, LABEL_PAIRS_MAX, OTHERS);
}

void label_set_get(uint32_t set, struct label_set *out)
{
	struct draft d;

	take_apart(set, &d);
	out->count = d.count;
	for (uint32_t i = 0; i < d.count; i++) {
		out->key[i] = key_text(key_of(d.pair[i]));
		out->value[i] = pair_at(d.pair[i])->bytes + PAIR_HEAD;
	}
}

bool label_set_exists(uint32_t set)
{
	return !set || (frame_is_labels(set) && numbered_at(&sets, set - FRAME_OF_LABELS + 1));
}

uint32_t label_set_last(void)
{
	uint32_t count = atomic_load_explicit(&sets.count, memory_order_relaxed);

	return count ? FRAME_OF_LABELS + MIN(count, LABEL_SETS_MAX) - 1 : 0;
}

struct label_set_counts label_set_count(void)
{
	const struct quota *q = quota_of_sets;

	return (struct label_set_counts){ atomic_load(&q[OWN].used), q[OWN].most,
					  atomic_load(&q[OTHERS].used), q[OTHERS].most };
}
