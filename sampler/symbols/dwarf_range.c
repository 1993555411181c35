#include "sampler/symbols/dwarf_range.h"

#include <stdbool.h>

#include "sampler/symbols/dwarf_codes.h"

#define RANGES_MAX (1U << 20) /* of one entry */

/* A walk over one list. */
struct range_walk {
	const struct dwarf_unit *u;
	dwarf_range_fn fn;
	void *opaque;
	uint64_t base;
};

static void give(const struct range_walk *w, uint64_t start, uint64_t limit)
{
	if (start != 0 && start < limit)
		w->fn(w->opaque, start, limit);
}

/* Pairs of addresses from the base; all ones sets the base, zeros end the list. */
static bool old_step(struct range_walk *w, struct dwarf_cursor *c)
{
	uint64_t start = dwarf_fixed(c, 8), limit = dwarf_fixed(c, 8);

	if (c->bad || (start == 0 && limit == 0))
		return false;
	if (start == UINT64_MAX)
		w->base = limit;
	else
		give(w, start + w->base, limit + w->base);
	return true;
}

static uint64_t indexed(const struct range_walk *w, uint64_t index)
{
	struct dwarf_value v = { .class = DWARF_ADDRESS_INDEX, .n = index };
	uint64_t addr;

	return dwarf_address(w->u, &v, &addr) ? addr : 0;
}

static void new_pair(struct range_walk *w, struct dwarf_cursor *c, uint8_t kind)
{
	uint64_t start = kind == RANGE_START_END || kind == RANGE_START_LENGTH ? dwarf_fixed(c, 8)
									       : dwarf_uleb(c);
	uint64_t second = kind == RANGE_START_END ? dwarf_fixed(c, 8) : dwarf_uleb(c);

	if (c->bad)
		return;
	if (kind == RANGE_OFFSET_PAIR) {
		give(w, w->base + start, w->base + second);
		return;
	}
	if (kind == RANGE_STARTX_ENDX || kind == RANGE_STARTX_LENGTH)
		start = indexed(w, start);
	if (kind == RANGE_STARTX_ENDX)
		second = indexed(w, second);
	else if (kind != RANGE_START_END)
		second += start;
	give(w, start, second);
}

static bool new_step(struct range_walk *w, struct dwarf_cursor *c)
{
	uint8_t kind = dwarf_u8(c);

	switch (kind) {
	case RANGE_END:
		return false;
	case RANGE_BASE_ADDRESSX:
		w->base = indexed(w, dwarf_uleb(c));
		break;
	case RANGE_BASE_ADDRESS:
		w->base = dwarf_fixed(c, 8);
		break;
	case RANGE_STARTX_ENDX:
	case RANGE_STARTX_LENGTH:
	case RANGE_OFFSET_PAIR:
	case RANGE_START_END:
	case RANGE_START_LENGTH:
		new_pair(w, c, kind);
		break;
	default:
		return false;
	}
	return !c->bad;
}

static void walk(struct range_walk *w, const struct dwarf_section *s, uint64_t offset,
		 bool (*step)(struct range_walk *w, struct dwarf_cursor *c))
{
	struct dwarf_effort *effort = w->u->d->effort;
	struct dwarf_stream st;

	dwarf_stream_open(&st, s, offset);
	for (unsigned i = 0; i < RANGES_MAX && step(w, dwarf_stream_next(&st)); i++)
		if (!dwarf_spend(effort, 1))
			return;
}

/* Lists may be numbered; a table of their offsets is where the unit's base points to. */
static bool list_offset(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *offset)
{
	uint64_t at;

	*offset = v->n;
	if (v->class == DWARF_OFFSET || v->class == DWARF_NUMBER)
		return true;
	if (v->class != DWARF_LIST_INDEX || __builtin_mul_overflow(v->n, u->enc.offset_size, &at) ||
	    __builtin_add_overflow(at, u->rnglists_base, &at))
		return false;
	*offset = 0;
	return dwarf_read(&u->d->section[DWARF_RNGLISTS], at, offset, u->enc.offset_size) &&
	       !__builtin_add_overflow(*offset, u->rnglists_base, offset);
}

static void list_ranges(const struct dwarf_unit *u, const struct dwarf_value *v, dwarf_range_fn fn,
			void *opaque)
{
	struct range_walk w = { .u = u, .fn = fn, .opaque = opaque, .base = u->low_pc };
	uint64_t offset;

	if (!list_offset(u, v, &offset))
		return;
	if (u->enc.version >= 5)
		walk(&w, &u->d->section[DWARF_RNGLISTS], offset, new_step);
	else if (!__builtin_add_overflow(offset, u->ranges_base, &offset))
		walk(&w, &u->d->section[DWARF_RANGES], offset, old_step);
}

/* The end is an address, or since version 4 a distance. */
static void simple_range(const struct dwarf_unit *u, const struct dwarf_entry *e, dwarf_range_fn fn,
			 void *opaque)
{
	const struct dwarf_value *high = &e->slot[SLOT_HIGH_PC];
	struct range_walk w = { .u = u, .fn = fn, .opaque = opaque };
	uint64_t start, limit;

	if (!dwarf_address(u, &e->slot[SLOT_LOW_PC], &start))
		return;
	if (high->class == DWARF_NUMBER)
		limit = start + high->n;
	else if (!dwarf_address(u, high, &limit))
		return;
	give(&w, start, limit);
}

void dwarf_ranges(const struct dwarf_unit *u, const struct dwarf_entry *e, dwarf_range_fn fn,
		  void *opaque)
{
	if (e->slot[SLOT_RANGES].class != DWARF_ABSENT)
		list_ranges(u, &e->slot[SLOT_RANGES], fn, opaque);
	else
		simple_range(u, e, fn, opaque);
}
