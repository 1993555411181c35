#include "sampler/cpu/account.h"

#include <stddef.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/roster.h"
#include "sampler/cpu/tick.h"
#include "sampler/unwind/stacks.h"

void account_begin(struct cpu_profile *p)
{
	p->start_ns = sys_now_ns();
	p->start_epoch_ns = sys_clock_ns(CLOCK_REALTIME);
	p->process_cpu_ns = sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	p->listener_cpu_ns = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	p->lost_ns = tick_lost_ns();
	p->newborn_ns = roster_newborn_ns();
}

void account_add(struct cpu_profile *p, const uint64_t *frame, uint32_t depth, int64_t ns, int tid,
		 bool newborn)
{
	uint32_t label = tid ? cpu_label_of(&p->labels, &p->stacks.arena, tid) : 0;
	struct stack *s = stack_table_add_labelled(&p->stacks, frame, depth, label);

	if (!s)
		return;
	s->value[CPU_VALUE_NS] += ns;
	s->value[CPU_VALUE_NEWBORN_NS] += newborn ? ns : 0;
	p->sampled_ns += ns;
}

static void add_pseudo(struct cpu_profile *p, uint64_t frame, int64_t ns)
{
	if (ns > 0)
		account_add(p, &frame, 1, ns, 0, false);
}

/*
 * CPU time that no tick stands for: threads that block the signal, that got no
 * timer, or that ended before they were seen.  The process's clock, less ours,
 * less what was sampled.  A sampled thread may be off by a part of a period
 * either way, so less than one part in a hundred is noise and not shown.
 */
static int64_t unsampled_ns(const struct cpu_profile *p)
{
	int64_t used = sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - p->process_cpu_ns;
	int64_t ours = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) - p->listener_cpu_ns;
	int64_t left = used - ours - p->sampled_ns;

	return left > (used - ours) / 100 && left >= 2 * p->period_ns ? left : 0;
}

/* Go's relation between the two values: samples times period is CPU time. */
static void count_samples(struct cpu_profile *p)
{
	for (size_t i = 0; i < p->stacks.count; i++) {
		struct stack *s = p->stacks.list[i];
		int64_t n = (s->value[CPU_VALUE_NS] + p->period_ns / 2) / p->period_ns;

		s->value[CPU_VALUE_SAMPLES] = s->value[CPU_VALUE_NS] ? MAX(n, 1) : 0;
	}
}

static int64_t newborn_sampled_ns(const struct cpu_profile *p)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->stacks.count; i++)
		sum += p->stacks.list[i]->value[CPU_VALUE_NEWBORN_NS];
	return sum;
}

static int64_t scaled(int64_t n, int64_t by, int64_t over)
{
	return (int64_t)((__int128)n * by / over);
}

/* Enough ticks to speak for the threads that had none. */
#define NEWBORN_TICKS_MIN 30

/*
 * Threads shorter than the time between scheduler ticks are met by one only now and then, and
 * when processors are short they start right behind one, so that fewer are met
 * than there are.  What all of them used is known from their clocks: what the ticks
 * saw of them is scaled to that, as a survey is weighted to a known population.
 */
static void weigh_newborn(struct cpu_profile *p)
{
	int64_t used = roster_newborn_ns() - p->newborn_ns, seen = newborn_sampled_ns(p);

	if (seen < NEWBORN_TICKS_MIN * p->period_ns || used <= 0)
		return;
	for (size_t i = 0; i < p->stacks.count; i++) {
		int64_t *value = p->stacks.list[i]->value;
		int64_t more = scaled(value[CPU_VALUE_NEWBORN_NS], used - seen, seen);

		value[CPU_VALUE_NS] += more;
		p->sampled_ns += more;
	}
}

void account_end(struct cpu_profile *p)
{
	p->duration_ns = sys_now_ns() - p->start_ns;
	weigh_newborn(p);
	add_pseudo(p, PSEUDO_LOST, tick_lost_ns() - p->lost_ns);
	add_pseudo(p, PSEUDO_UNSAMPLED, unsampled_ns(p));
	count_samples(p);
}
