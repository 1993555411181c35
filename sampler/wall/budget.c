#include "sampler/wall/budget.h"

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

/* 0.6 %; scans (cpu/hunt.c) and the taking of ticks have the rest. */
#define SHARE_OF 1000
#define SHARE	 6

/* A short profile of few threads has its first looks at once. */
#define FREE_AT_FIRST_NS (2 * NS_PER_MS)
/* So long may one sweep take: others wait for us meanwhile. */
#define FREE_MAX_NS (4 * NS_PER_MS)
/* With less a sweep is not worth its beginning. */
#define FREE_MIN_NS 50000

#define CLOCK_AT_FIRST_NS 400
#define LOOK_AT_FIRST_NS  15000 /* stacks are new */
#define COST_MIN_NS	  100

void budget_begin(struct budget *b, int64_t now_ns)
{
	*b = (struct budget){ .free_ns = FREE_AT_FIRST_NS,
			      .filled_ns = now_ns,
			      .clock_ns = CLOCK_AT_FIRST_NS,
			      .look_ns = LOOK_AT_FIRST_NS };
}

static void fill_up(struct budget *b, int64_t now_ns, uint32_t sharers)
{
	b->free_ns += (now_ns - b->filled_ns) * SHARE / SHARE_OF / MAX(sharers, 1U);
	b->free_ns = MIN(b->free_ns, FREE_MAX_NS);
	b->filled_ns = now_ns;
}

/* What part of `wanted` can be had for `ns`; never 0. */
static uint32_t part_of(int64_t ns, int64_t wanted)
{
	return ns >= wanted ? BUDGET_ALL : (uint32_t)MAX(BUDGET_ALL * MAX(ns, 0) / wanted, 1);
}

/* Half of it is for looks, where both have to do with less. */
struct budget_parts budget_draw(struct budget *b, int64_t now_ns, uint32_t known, uint32_t unknown,
				uint32_t sharers)
{
	int64_t clocks = known * b->clock_ns, looks = unknown * b->look_ns;
	struct budget_parts p;

	fill_up(b, now_ns, sharers);
	if (b->free_ns < FREE_MIN_NS && b->free_ns < clocks + looks)
		return (struct budget_parts){ 0, 0 };
	p.threads = part_of(MAX(b->free_ns - looks, b->free_ns / 2), clocks);
	clocks = clocks * p.threads / BUDGET_ALL;
	looks = looks * p.threads / BUDGET_ALL;
	p.looks = part_of(b->free_ns - clocks, looks);
	return p;
}

static int64_t learn(int64_t cost, int64_t ns, uint32_t count)
{
	return count ? MAX((3 * cost + ns / count) / 4, COST_MIN_NS) : cost;
}

void budget_pay(struct budget *b, const struct budget_bill *bill)
{
	b->free_ns -= bill->ns;
	if (bill->looks)
		b->look_ns = learn(b->look_ns, MAX(bill->ns - bill->clocks * b->clock_ns, 0),
				   bill->looks);
	else
		b->clock_ns = learn(b->clock_ns, bill->ns, bill->clocks);
	b->known += bill->drawn - bill->unknown + bill->looks;
	b->all += bill->threads;
}

int budget_known_percent(const struct budget *b)
{
	return b->all ? (int)(100 * b->known / b->all) : 100;
}
