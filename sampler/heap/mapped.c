#include "sampler/heap/mapped.h"

#include <stdatomic.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys_map.h"

/* Some times what a scan of a full table takes. */
#define PATIENCE 20000

struct mapping {
	uint64_t start, end; /* 0, 0: free */
	uint64_t when;
	struct live_block block;
};

static struct {
	atomic_bool lock;
	atomic_uint_fast64_t clock;
	atomic_uint used;     /* entries beyond are free */
	struct mapping *list; /* MAPPED_MAX */
} mapped;

/* A signal handler that maps finds its own thread here. */
static __thread volatile bool inside;

void mapped_init(void)
{
	mapped.list = sys_map_kept(MAPPED_MAX * sizeof(*mapped.list));
}

static bool take_lock(void)
{
	if (!inside) {
		inside = true;
		for (int i = 0; i < PATIENCE; i++) {
			if (!atomic_exchange_explicit(&mapped.lock, true, memory_order_acquire))
				return true;
			arch_spin_hint();
		}
		inside = false;
	}
	counter_add(COUNTER_HEAP_MAPPINGS_MISSED, 1);
	return false;
}

static void give_lock(void)
{
	atomic_store_explicit(&mapped.lock, false, memory_order_release);
	inside = false;
}

uint64_t mapped_now(void)
{
	return atomic_fetch_add(&mapped.clock, 1) + 1;
}

static unsigned used(void)
{
	return atomic_load_explicit(&mapped.used, memory_order_acquire);
}

static struct mapping *find_free(void)
{
	for (unsigned i = 0; mapped.list && i < MAPPED_MAX; i++)
		if (!mapped.list[i].end) {
			if (i >= used())
				atomic_store_explicit(&mapped.used, i + 1, memory_order_release);
			return &mapped.list[i];
		}
	return NULL;
}

static bool put(uint64_t start, uint64_t end, uint64_t when, struct live_block block)
{
	struct mapping *m = find_free();

	if (!m) {
		counter_add(COUNTER_HEAP_LIVE_DROPPED, 1);
		return false;
	}
	*m = (struct mapping){ start, end, when, block };
	return true;
}

bool mapped_add(uint64_t start, size_t size, struct live_block block)
{
	bool ok = take_lock();

	if (!ok)
		return false;
	ok = put(start, start + size, mapped_now(), block);
	give_lock();
	return ok;
}

/* ---- parts */

/* Pieces of one mapping whose stack is not known yet share its record. */
static bool is_last_of(const struct site *s)
{
	for (unsigned i = 0; i < used(); i++)
		if (mapped.list[i].end && mapped.list[i].block.site == s)
			return false;
	return true;
}

/* What of its bytes so much of its addresses is. */
static uint64_t share_of(const struct mapping *m, uint64_t addresses)
{
	return (uint64_t)((unsigned __int128)m->block.bytes * addresses / (m->end - m->start));
}

/* Takes the part from `end` on out of it, and leaves it as a mapping of its own. */
static bool split(struct mapping *m, uint64_t end)
{
	struct live_block rest = m->block;

	rest.blocks = 0;
	rest.bytes = share_of(m, m->end - end);
	if (!put(end, m->end, m->when, rest))
		return false;
	m->block.bytes -= rest.bytes;
	m->end = end;
	return true;
}

/* Takes [start, end), which begins or ends where it does, off it. */
static struct live_block trim(struct mapping *m, uint64_t start, uint64_t end)
{
	struct live_block part = m->block;

	if (start <= m->start && end >= m->end) {
		m->start = m->end = 0;
		return part;
	}
	part.blocks = 0;
	part.bytes = share_of(m, end - start);
	m->block.bytes -= part.bytes;
	if (start <= m->start)
		m->start = end;
	else
		m->end = start;
	return part;
}

/* Without room for what is behind a hole, that is lost too. */
static struct live_block cut_one(struct mapping *m, uint64_t start, uint64_t end)
{
	if (start > m->start && end < m->end && !split(m, end))
		end = m->end;
	return trim(m, start < m->start ? m->start : start, end > m->end ? m->end : end);
}

void mapped_cut(uint64_t start, size_t size, uint64_t since,
		void (*freed)(struct live_block part, bool is_last))
{
	uint64_t end = start + size;

	if (!used() || !take_lock())
		return;
	for (unsigned i = 0; i < used(); i++) {
		struct mapping *m = &mapped.list[i];
		struct live_block part;

		if (m->start >= end || m->end <= start || m->when > since)
			continue;
		part = cut_one(m, start, end);
		freed(part, is_last_of(part.site));
	}
	give_lock();
}

void mapped_each(void (*fn)(const struct live_block *block, void *arg), void *arg)
{
	if (!used() || !take_lock())
		return;
	for (unsigned i = 0; i < used(); i++)
		if (mapped.list[i].end)
			fn(&mapped.list[i].block, arg);
	give_lock();
}

void mapped_after_fork(void)
{
	atomic_store(&mapped.lock, false);
	inside = false;
}
