#include "sampler/wall/budget.h"

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

#define SHARE 100 /* of the time: 1 % */

/* A short profile of few threads has its first looks at once. */
#define FREE_AT_FIRST_NS (2 * NS_PER_MS)
/* So long may one sweep take: others wait for us meanwhile. */
#define FREE_MAX_NS (4 * NS_PER_MS)
/* With less a sweep is not worth its beginning. */
#define FREE_MIN_NS 50000

#define COST_AT_FIRST_NS 15000 /* stacks are new */
#define COST_MIN_NS	 100

void budget_begin(struct budget *b, int64_t now_ns)
{
	*b = (struct budget){ .free_ns = FREE_AT_FIRST_NS,
			      .filled_ns = now_ns,
			      .cost_ns = COST_AT_FIRST_NS };
}

static void fill_up(struct budget *b, int64_t now_ns, uint32_t sharers)
{
	b->free_ns += (now_ns - b->filled_ns) / SHARE / MAX(sharers, 1U);
	b->free_ns = MIN(b->free_ns, FREE_MAX_NS);
	b->filled_ns = now_ns;
}

uint32_t budget_part(struct budget *b, int64_t now_ns, uint32_t threads, uint32_t sharers)
{
	int64_t wanted = MAX(threads, 1U) * b->cost_ns;
	int64_t part = BUDGET_ALL;

	fill_up(b, now_ns, sharers);
	if (b->free_ns < FREE_MIN_NS && b->free_ns < wanted)
		part = 0;
	else if (b->free_ns < wanted)
		part = MAX(BUDGET_ALL * b->free_ns / wanted, 1);
	b->parts += part ? (uint64_t)part : 0;
	b->sweeps += part != 0;
	return (uint32_t)part;
}

void budget_used(struct budget *b, int64_t ns, uint32_t looks)
{
	b->free_ns -= ns;
	if (looks)
		b->cost_ns = MAX((3 * b->cost_ns + ns / looks) / 4, COST_MIN_NS);
}

int budget_mean_part(const struct budget *b)
{
	return b->sweeps ? (int)(100 * b->parts / b->sweeps / BUDGET_ALL) : 100;
}
