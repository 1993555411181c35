#include "sampler/unwind/rows.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/frame.h"

/*
 * A key is the address, and above it (FRAME_SHIFT) the number of its module if that may be
 * unloaded.  Keys of no code: an empty slot ends a search, a forgotten one does not.
 */
#define EMPTY	   0
#define FORGOTTEN  1
#define PROBES_MAX 32

struct slot {
	atomic_uint_fast64_t key;
	atomic_uint_fast64_t row; /* packed */
};

/*
 * Three tables, each four times as large as the one before: the rows start in
 * the smallest, because slots are hit at random and every page touched counts,
 * and move on as they grow.  Each is mapped once and for ever.  One that is left is
 * emptied: a reader that is still in it finds a mask of 0 and an empty slot.
 */
struct table {
	uint64_t mask; /* slots - 1 */
	uint64_t unused;
	struct slot slot[];
};

#define TABLES	    3
#define FIRST_SLOTS (ROWS_MAX / 16)

static struct table *tables[TABLES];
static int stage;		      /* which of them is in use */
static struct table *_Atomic current; /* the same for readers; NULL until the first row */
static uint32_t used;		      /* slots with a row */

_Static_assert(sizeof(struct row) == sizeof(uint64_t), "a row is read and written at once");

static uint64_t pack(struct row r)
{
	uint64_t p;

	memcpy(&p, &r, sizeof(p));
	return p;
}

static struct row unpack(uint64_t p)
{
	struct row r;

	memcpy(&r, &p, sizeof(r));
	return r;
}

/* acquire: pairs with the release in publish(); the mask is there before the table is. */
static struct table *table_now(void)
{
	return atomic_load_explicit(&current, memory_order_acquire);
}

/* Fibonacci hashing: addresses differ mostly in their low bits. */
static struct slot *slot_at(struct table *t, uint64_t pc, uint64_t probe)
{
	return &t->slot[((pc * 0x9e3779b97f4a7c15ULL >> 40) + probe) & t->mask];
}

static uint64_t key_of(const struct slot *s)
{
	return atomic_load_explicit(&s->key, memory_order_acquire);
}

/* acquire on both sides of the row: pairs with the releases in put_row(). */
static struct row read_slot(const struct slot *s, uint64_t key)
{
	uint64_t packed = atomic_load_explicit(&s->row, memory_order_acquire);

	if (key_of(s) != key)
		return (struct row){ .kind = ROW_UNKNOWN };
	return unpack(packed);
}

static bool is_key_of(uint64_t key, uint64_t pc)
{
	return (key ^ pc) << (64 - FRAME_SHIFT) == 0;
}

static uint64_t address_of(uint64_t key)
{
	return key & ((1UL << FRAME_SHIFT) - 1);
}

struct row_found rows_find_in(uint64_t pc)
{
	struct table *t = table_now();

	for (uint64_t i = 0; t && i < PROBES_MAX; i++) {
		const struct slot *s = slot_at(t, pc, i);
		uint64_t key = key_of(s);

		if (LIKELY(key == pc))
			return (struct row_found){ read_slot(s, key), 0 };
		if (key == EMPTY)
			break;
		if (is_key_of(key, pc))
			return (struct row_found){ read_slot(s, key), key >> FRAME_SHIFT };
	}
	return (struct row_found){ { .kind = ROW_UNKNOWN }, 0 };
}

struct row rows_find(uint64_t pc)
{
	return rows_find_in(pc).row;
}

/* The slot that holds `pc`, else the first one free for it, else NULL. */
static struct slot *slot_for(struct table *t, uint64_t pc)
{
	struct slot *spare = NULL;

	for (uint64_t i = 0; i < PROBES_MAX; i++) {
		struct slot *s = slot_at(t, pc, i);
		uint64_t key = key_of(s);

		if (key <= FORGOTTEN && !spare)
			spare = s;
		else if (is_key_of(key, pc))
			return s;
		if (key == EMPTY)
			break;
	}
	return spare;
}

/* The key goes first and comes last, so that no reader pairs it with another's row. */
static void put_row(struct slot *s, uint64_t key, uint64_t packed)
{
	used += key_of(s) <= FORGOTTEN;
	atomic_store_explicit(&s->key, FORGOTTEN, memory_order_release);
	atomic_store_explicit(&s->row, packed, memory_order_release);
	atomic_store_explicit(&s->key, key, memory_order_release);
}

static size_t table_bytes(uint64_t slots)
{
	return sizeof(struct table) + slots * sizeof(struct slot);
}

static void publish(struct table *t)
{
	atomic_store_explicit(&current, t, memory_order_release);
}

static void empty(struct table *old)
{
	uint64_t slots = old->mask + 1;

	sys_discard(old, table_bytes(slots));
}

static struct table *open_table(int i)
{
	uint64_t slots = FIRST_SLOTS << (2 * i);

	if (!tables[i])
		tables[i] = sys_map_kept(table_bytes(slots));
	if (tables[i])
		tables[i]->mask = slots - 1;
	return tables[i];
}

static void copy_rows(struct table *to, struct table *from)
{
	used = 0;
	for (uint64_t i = 0; i <= from->mask; i++) {
		uint64_t key = key_of(&from->slot[i]);
		struct slot *s = key > FORGOTTEN ? slot_for(to, address_of(key)) : NULL;

		if (s)
			put_row(s, key,
				atomic_load_explicit(&from->slot[i].row, memory_order_relaxed));
	}
}

static void grow(struct table *old)
{
	struct table *t = open_table(stage + 1);

	if (!t)
		return;
	copy_rows(t, old);
	stage++;
	publish(t);
	empty(old);
}

/* A table with room for one more, as long as memory and ROWS_MAX allow. */
static struct table *writable_table(void)
{
	struct table *t = table_now();

	if (!t)
		publish(open_table(stage));
	else if (used > t->mask / 2 && stage + 1 < TABLES)
		grow(t);
	return table_now();
}

void rows_add_in(uint64_t pc, uint32_t number, struct row row)
{
	struct table *t = writable_table();
	struct slot *s = t ? slot_for(t, pc) : NULL;

	if (pc <= FORGOTTEN || pc >> FRAME_SHIFT)
		return; /* a call through NULL, or into nowhere: no code, and no key */
	if (s)
		put_row(s, (uint64_t)number << FRAME_SHIFT | pc, pack(row));
	else
		counter_add(COUNTER_ROWS_DROPPED_TABLE_FULL, 1);
}

void rows_add(uint64_t pc, struct row row)
{
	rows_add_in(pc, 0, row);
}

bool rows_forget(uint64_t start, uint64_t limit)
{
	struct table *t = table_now();
	bool any = false;

	for (uint64_t i = 0; t && i <= t->mask; i++) {
		uint64_t key = key_of(&t->slot[i]), pc = address_of(key);

		if (key > FORGOTTEN && pc >= start && pc < limit) {
			atomic_store_explicit(&t->slot[i].key, FORGOTTEN, memory_order_release);
			used--;
			any = true;
		}
	}
	return any;
}

uint32_t rows_count(void)
{
	return used;
}

void rows_release(void)
{
	struct table *t = table_now();

	publish(NULL);
	if (t)
		empty(t);
	stage = 0;
	used = 0;
}

const char *rows_check(void)
{
	struct table *t = table_now();
	uint32_t n = 0;

	for (uint64_t i = 0; t && i <= t->mask; i++) {
		uint64_t key = key_of(&t->slot[i]);

		if (key <= FORGOTTEN)
			continue;
		if (slot_for(t, address_of(key)) != &t->slot[i])
			return "rows: an address is there twice, or where no search finds it";
		n++;
	}
	return n == used ? NULL : "rows: another number of rows than is counted";
}
