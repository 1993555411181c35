#include "sampler/heap/peak.h"

#include <stddef.h>

#include "sampler/base/arena.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"

#define FIRST_DUE  (1 << 20)
#define COPY_BYTES (8UL << 20)
#define FIRST_ROOM 256

struct entry {
	const struct site *site;
	int64_t blocks, bytes;
};

struct peak peak = { .due = FIRST_DUE };

static struct copy {
	struct arena memory;
	struct entry *list;
	size_t count, room;
	int64_t bytes, time_ns;
	uint32_t epoch;
	peak_get get;
} copy;

/* One of those that see it asks; the others' sums may be higher, and are noted. */
void peak_want(int64_t live)
{
	int64_t highest = atomic_load_explicit(&peak.highest, memory_order_relaxed);

	while (live > highest &&
	       !atomic_compare_exchange_weak_explicit(&peak.highest, &highest, live,
						      memory_order_relaxed, memory_order_relaxed))
		;
	if (!sandbox_is_noted() && !atomic_exchange(&peak.is_wanted, true))
		wake();
}

static bool make_room(struct copy *c)
{
	size_t room = c->room ? 2 * c->room : FIRST_ROOM;
	struct entry *list;

	if (c->count < c->room)
		return true;
	list = arena_grow(&c->memory, c->list, c->room * sizeof(*list), room * sizeof(*list));
	if (!list)
		return false;
	c->list = list;
	c->room = room;
	return true;
}

/* A record whose stack is not known yet will be another's; what it counts is nobody's then. */
static const struct site *stack_of(const struct site *s)
{
	return s->depth ? s : atomic_load_explicit(&s->resolved, memory_order_acquire);
}

static void add(struct site *s, void *arg)
{
	struct copy *c = arg;
	struct entry e = { .site = stack_of(s) };

	if (s->epoch < c->epoch)
		return;
	c->get(s, &e.blocks, &e.bytes);
	if (e.bytes <= 0 || !make_room(c))
		return;
	c->list[c->count++] = e;
	c->bytes += e.bytes;
}

static void set_due(int64_t bytes)
{
	int64_t due = bytes + bytes / 10;

	atomic_store_explicit(&peak.due, due > FIRST_DUE ? due : FIRST_DUE, memory_order_relaxed);
}

/* Less than the last one if the program was faster than we were: then that stays. */
static void take(struct site_table *t, uint32_t epoch, peak_get get)
{
	struct copy new = { .memory = ARENA_INIT(COPY_BYTES), .epoch = epoch, .get = get };

	sites_settle(t);
	sites_each(t, add, &new);
	new.time_ns = sys_now_ns();
	if (new.bytes < copy.bytes) {
		arena_release(&new.memory);
	} else {
		arena_release(&copy.memory);
		copy = new;
		counter_add(COUNTER_HEAP_PEAKS, 1);
	}
	set_due(copy.bytes);
	atomic_store(&peak.is_wanted, false);
}

static bool is_due(void)
{
	return atomic_load(&peak.live) >= atomic_load(&peak.due);
}

void peak_look(struct site_table *t, uint32_t epoch, peak_get get, bool now)
{
	bool wanted = atomic_load_explicit(&peak.is_wanted, memory_order_relaxed) ||
		      (now && atomic_load_explicit(&peak.live, memory_order_relaxed) > copy.bytes);

	if (wanted)
		take(t, epoch, get);
	if (wanted && is_due()) /* it grew meanwhile, when who saw it found a copy wanted */
		take(t, epoch, get);
}

void peak_each(void (*fn)(const struct site *s, int64_t blocks, int64_t bytes, void *arg),
	       void *arg)
{
	for (size_t i = 0; i < copy.count; i++)
		fn(copy.list[i].site, copy.list[i].blocks, copy.list[i].bytes, arg);
}

int64_t peak_time_ns(void)
{
	return copy.time_ns;
}

int64_t peak_highest(void)
{
	int64_t highest = atomic_load_explicit(&peak.highest, memory_order_relaxed);

	return highest > copy.bytes ? highest : copy.bytes;
}

void peak_after_fork(void)
{
	peak_begin_anew();
}

void peak_begin_anew(void)
{
	copy = (struct copy){ 0 };
	atomic_store(&peak.live, 0);
	atomic_store(&peak.highest, 0);
	atomic_store(&peak.due, FIRST_DUE);
	atomic_store(&peak.is_wanted, false);
}
