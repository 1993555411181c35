#include "sampler/unwind/other_captures.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/process/other_process.h"
#include "sampler/unwind/ring_handler.h"
#include "sampler/unwind/site_at.h"

/* A ring that was never made has no bytes, and is empty. */
static bool makes_sense(const struct ring *r, uint64_t used)
{
	return !used || (r->size && r->size <= SITE_AT_RING_BYTES && !(r->size & (r->size - 1)) &&
			 used <= r->size);
}

bool other_captures_begin(struct other_captures *o, uint64_t ring)
{
	struct ring r;
	uint64_t head, tail;

	if (!other_read(ring, &r, sizeof(r)))
		return false;
	head = atomic_load_explicit(&r.head, memory_order_relaxed);
	tail = atomic_load_explicit(&r.tail, memory_order_relaxed);
	o->bytes = (uint64_t)r.bytes;
	o->size = r.size;
	o->at = makes_sense(&r, head - tail) ? tail : head;
	o->head = head;
	return true;
}

/* A record lies in one piece, and within what is used. */
static bool is_record(const struct other_captures *o, const struct ring_header *h)
{
	return h->len >= HEADER_BYTES && h->len % HEADER_BYTES == 0 && h->len <= o->head - o->at &&
	       h->len <= o->size - (o->at & (o->size - 1));
}

/* All of its pieces lie behind the head, in what was copied. */
static bool holds_pieces(const struct capture *c, size_t bytes)
{
	uint64_t used = c->slice_len;

	for (unsigned i = 0; i < CAPTURE_MORE && used <= bytes; i++) {
		if (c->more[i].len > bytes)
			return false;
		used += c->more[i].len;
	}
	return used <= bytes;
}

/* A byte that is neither 0 nor 1 is none of what the compiler takes for a bool. */
static void settle_flag(bool *flag)
{
	uint8_t byte;

	memcpy(&byte, flag, sizeof(byte));
	*flag = byte & 1;
}

struct capture *other_captures_copy(const struct other_captures *o)
{
	return (struct capture *)(o->record + HEADER_BYTES);
}

static bool check(struct other_captures *o, size_t len)
{
	struct capture *c = other_captures_copy(o);

	if (len < sizeof(*c))
		return false;
	settle_flag(&c->on_known_stack);
	settle_flag(&c->is_split);
	settle_flag(&c->bp_unknown);
	settle_flag(&c->stamp.was_fresh);
	settle_flag(&c->stamp.is_awaited);
	c->thread = NULL;
	return holds_pieces(c, len - sizeof(*c));
}

#define FIRST_BYTES 4096 /* most have no more */

/* How many bytes of the record were read; less than a header: none. */
static size_t read_first(const struct other_captures *o, uint64_t at)
{
	uint64_t to_end = o->size - (o->at & (o->size - 1));
	size_t len = MIN(MIN(o->head - o->at, to_end), (uint64_t)FIRST_BYTES);

	return other_read_some(at, o->record, len);
}

static bool read_rest(const struct other_captures *o, uint64_t at, size_t got, size_t len)
{
	return len <= OTHER_RECORD_BYTES &&
	       (len <= got || other_read(at + got, o->record + got, len - got));
}

/* The ring is left at the first record that is not whole. */
static bool leave(struct other_captures *o)
{
	o->at = o->head;
	return false;
}

bool other_captures_next(struct other_captures *o, bool *nonsense)
{
	uint64_t at = o->bytes + (o->at & (o->size - 1));
	struct ring_header *h = (struct ring_header *)o->record;
	size_t got = read_first(o, at), len;
	unsigned state = got < HEADER_BYTES ? 0 : ring_state(h);

	*nonsense = state && (!is_record(o, h) || state > STATE_PAD);
	if (!state || *nonsense)
		return leave(o);
	len = h->len;
	o->at += len;
	if (state == STATE_PAD)
		return false;
	*nonsense = !read_rest(o, at, got, len) || !check(o, len - HEADER_BYTES);
	return !*nonsense;
}
