#include "sampler/rows.h"

#include <stdatomic.h>
#include <stddef.h>

#include "sampler/counters.h"
#include "sampler/sys.h"
#include "shim/cc.h"

/* Keys of no code: an empty slot ends a search, a forgotten one does not. */
#define EMPTY	   0
#define FORGOTTEN  1
#define PROBES_MAX 32

struct slot {
	atomic_uint_fast64_t pc;
	atomic_uint_fast64_t row; /* packed */
};

static struct slot *slots; /* ROWS_MAX of them, NULL until the first row */
static uint32_t used;	   /* slots with a row */

/* kind 4 bits, bp_saved 1, cfa_offset and bp_offset 29 bits each. */
#define OFFSET_BITS 29
#define OFFSET_MASK ((1ULL << OFFSET_BITS) - 1)

static uint64_t pack(struct row r)
{
	return (uint64_t)r.kind | (uint64_t)r.bp_saved << 4 |
	       ((uint64_t)r.cfa_offset & OFFSET_MASK) << 5 |
	       ((uint64_t)r.bp_offset & OFFSET_MASK) << (5 + OFFSET_BITS);
}

static int32_t signed_offset(uint64_t bits)
{
	return (int32_t)((uint32_t)bits << (32 - OFFSET_BITS)) >> (32 - OFFSET_BITS);
}

static struct row unpack(uint64_t p)
{
	return (struct row){ .kind = p & 15,
			     .bp_saved = p >> 4 & 1,
			     .cfa_offset = signed_offset(p >> 5 & OFFSET_MASK),
			     .bp_offset = signed_offset(p >> (5 + OFFSET_BITS) & OFFSET_MASK) };
}

/* Fibonacci hashing: addresses differ mostly in their low bits. */
static uint32_t home(uint64_t pc)
{
	return (uint32_t)(pc * 0x9e3779b97f4a7c15ULL >> 48) & (ROWS_MAX - 1);
}

static uint64_t key_of(const struct slot *s)
{
	return atomic_load_explicit(&s->pc, memory_order_acquire);
}

/* acquire on both sides of the row: pairs with the releases in put(). */
static struct row read_slot(const struct slot *s, uint64_t pc)
{
	uint64_t packed = atomic_load_explicit(&s->row, memory_order_acquire);

	if (key_of(s) != pc)
		return (struct row){ .kind = ROW_UNKNOWN };
	return unpack(packed);
}

struct row rows_find(uint64_t pc)
{
	uint32_t at = home(pc);

	for (int i = 0; slots && i < PROBES_MAX; i++) {
		const struct slot *s = &slots[(at + (uint32_t)i) & (ROWS_MAX - 1)];
		uint64_t key = key_of(s);

		if (key == pc)
			return read_slot(s, pc);
		if (key == EMPTY)
			break;
	}
	return (struct row){ .kind = ROW_UNKNOWN };
}

/* The slot that holds `pc`, else the first one free for it, else NULL. */
static struct slot *slot_for(uint64_t pc)
{
	struct slot *spare = NULL;
	uint32_t at = home(pc);

	for (int i = 0; i < PROBES_MAX; i++) {
		struct slot *s = &slots[(at + (uint32_t)i) & (ROWS_MAX - 1)];
		uint64_t key = key_of(s);

		if (key == pc)
			return s;
		if (key <= FORGOTTEN && !spare)
			spare = s;
		if (key == EMPTY)
			break;
	}
	return spare;
}

/* The key goes first and comes last, so that no reader pairs it with another's row. */
static void put(struct slot *s, uint64_t pc, struct row row)
{
	used += key_of(s) <= FORGOTTEN;
	atomic_store_explicit(&s->pc, FORGOTTEN, memory_order_release);
	atomic_store_explicit(&s->row, pack(row), memory_order_release);
	atomic_store_explicit(&s->pc, pc, memory_order_release);
}

void rows_add(uint64_t pc, struct row row)
{
	struct slot *s;

	if (!slots)
		slots = sys_map(ROWS_MAX * sizeof(*slots));
	s = slots ? slot_for(pc) : NULL;
	if (s)
		put(s, pc, row);
	else
		counter_add(COUNTER_ROWS_DROPPED_TABLE_FULL, 1);
}

void rows_forget(uint64_t start, uint64_t limit)
{
	for (uint32_t i = 0; slots && i < ROWS_MAX; i++) {
		uint64_t pc = key_of(&slots[i]);

		if (pc > FORGOTTEN && pc >= start && pc < limit) {
			atomic_store_explicit(&slots[i].pc, FORGOTTEN, memory_order_release);
			used--;
		}
	}
}

uint32_t rows_count(void)
{
	return used;
}

void rows_release(void)
{
	if (slots)
		sys_unmap(slots, ROWS_MAX * sizeof(*slots));
	slots = NULL;
	used = 0;
}
