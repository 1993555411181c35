#include "shim/real/slots_write.h"

#include <sys/mman.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/maps_reader.h"

bool slots_note_change(struct slots_changes *c, struct slots_change change)
{
	if (c->count == SLOTS_CHANGES_MAX)
		return false;
	c->order[c->count] = (struct sort_pair){ (uint64_t)change.at, c->count };
	c->change[c->count++] = change;
	return true;
}

static bool set_protection(uint64_t from, uint64_t to, const struct maps_line *m, int writable)
{
	int how = PROT_READ | (m->executable ? PROT_EXEC : 0) | writable;

	return sys_call3(SYS_mprotect, (long)from, (long)(to - from), how) == 0;
}

/* Not what somebody else has written there meanwhile. */
static bool store(const struct slots_change *c)
{
	uint64_t from = c->from;

	return __atomic_compare_exchange_n(c->at, &from, c->to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* Those in one mapping: how many were done, or -1 if it could not be opened. */
static long change_in(const struct maps_line *m, const struct slots_changes *c, size_t first,
		      size_t end)
{
	uint64_t from = ALIGN_DOWN(c->order[first].key, PAGE_BYTES);
	uint64_t to = ALIGN_UP(c->order[end - 1].key + sizeof(uint64_t), PAGE_BYTES);
	long done = 0;

	if (!m->writable && !set_protection(from, to, m, PROT_WRITE))
		return -1;
	for (size_t i = first; i < end; i++)
		done += store(&c->change[c->order[i].value]);
	if (!m->writable)
		set_protection(from, to, m, 0);
	return done;
}

/* The first that does not lie below `limit`. */
static size_t skip_to(const struct slots_changes *c, size_t i, uint64_t limit)
{
	while (i < c->count && c->order[i].key < limit)
		i++;
	return i;
}

static size_t change_by(struct maps_reader *r, const struct slots_changes *c, size_t *closed)
{
	struct maps_line m;
	size_t i = 0, done = 0;

	while (i < c->count && maps_next(r, &m)) {
		size_t first = skip_to(c, i, m.start), end = skip_to(c, first, m.limit);
		long n = end > first ? change_in(&m, c, first, end) : 0;

		*closed += (first - i) + (n < 0 ? end - first : 0);
		done += n > 0 ? (size_t)n : 0;
		i = end;
	}
	*closed += c->count - i;
	return done;
}

size_t slots_make_changes(struct slots_changes *c, size_t *closed)
{
	static struct maps_reader r; /* large; whoever is here has the lock */
	size_t done = 0;

	if (!c->count)
		return 0;
	sort_pairs(c->order, c->count);
	if (!maps_open(&r)) {
		*closed += c->count;
		return 0;
	}
	done = change_by(&r, c, closed);
	maps_close(&r);
	return done;
}
