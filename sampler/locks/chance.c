#include "sampler/locks/chance.h"

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/unwind/weight.h"

#define HALVINGS_MAX 24

uint64_t chance_coarser(struct chance *c)
{
	return 1ULL << atomic_load_explicit(&c->halvings, memory_order_relaxed);
}

/* Once a second: undoes one halving if less than a quarter of the budget was used, and one for
 * each second in which nothing was. */
static void next_second(struct chance *c, int64_t passed)
{
	unsigned recorded = atomic_exchange_explicit(&c->recorded, 0, memory_order_relaxed);
	unsigned halvings = atomic_load_explicit(&c->halvings, memory_order_relaxed);
	unsigned back = (unsigned)MIN(passed - (recorded >= CHANCE_PER_SECOND / 4), HALVINGS_MAX);

	atomic_store_explicit(&c->halvings, halvings - MIN(back, halvings), memory_order_relaxed);
}

/* Of threads that get here at once one does the work. */
static void look_at_clock(struct chance *c, int64_t now_ns)
{
	int64_t second = now_ns / NS_PER_SECOND;
	int_fast64_t last = atomic_load_explicit(&c->second, memory_order_relaxed);

	if (UNLIKELY(second > last) &&
	    atomic_compare_exchange_strong_explicit(&c->second, &last, second, memory_order_relaxed,
						    memory_order_relaxed))
		next_second(c, second - last);
}

static void count_one(struct chance *c)
{
	unsigned halvings = atomic_load_explicit(&c->halvings, memory_order_relaxed);

	if (atomic_fetch_add_explicit(&c->recorded, 1, memory_order_relaxed) < CHANCE_PER_SECOND)
		return;
	atomic_store_explicit(&c->recorded, 0, memory_order_relaxed);
	if (halvings == HALVINGS_MAX)
		return;
	atomic_store_explicit(&c->halvings, halvings + 1, memory_order_relaxed);
	counter_add(c->coarsened, 1);
}

/* A uniform number below `of`: hits / of of them are below hits, exact to 2^-64. */
static uint64_t draw(struct odds odds)
{
	return (uint64_t)((unsigned __int128)weight_random() * odds.of >> 64);
}

static void halve(struct chance *c, struct odds *odds)
{
	odds->of <<= atomic_load_explicit(&c->halvings, memory_order_relaxed);
}

bool chance_is_certain(struct chance *c)
{
	return atomic_load_explicit(&c->rate, memory_order_relaxed) <= 1 ||
	       atomic_load_explicit(&c->everything, memory_order_relaxed) > 0;
}

bool chance_take(struct chance *c, struct odds *odds, int64_t now_ns)
{
	if (chance_is_certain(c)) {
		*odds = (struct odds){ 1, 1 };
		return true;
	}
	look_at_clock(c, now_ns);
	halve(c, odds);
	if (odds->hits < odds->of && draw(*odds) >= odds->hits)
		return false;
	count_one(c);
	return true;
}

uint64_t chance_draw(struct chance *c, struct odds *odds)
{
	halve(c, odds);
	return draw(*odds);
}

void chance_recorded(struct chance *c, int64_t now_ns)
{
	look_at_clock(c, now_ns);
	count_one(c);
}

uint64_t odds_weigh(struct odds odds, uint64_t n)
{
	if (odds.hits >= odds.of)
		return n;
	return (uint64_t)(((unsigned __int128)n * odds.of + odds.hits / 2) / odds.hits);
}
