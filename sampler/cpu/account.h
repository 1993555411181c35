/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * What a CPU profile's stacks stand for: the CPU time of each tick, and what no tick
 * saw.  Short threads are weighted, and the frames [lost samples] and [unsampled] make
 * the total what the kernel's clocks say.
 *
 * Context: listener.
 */
#ifndef SAMPLER_CPU_ACCOUNT_H
#define SAMPLER_CPU_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/cpu/labels.h"
#include "sampler/unwind/stacks.h"

/* value[] of the stacks of a CPU profile. */
enum cpu_value {
	CPU_VALUE_SAMPLES,
	CPU_VALUE_NS,
	CPU_VALUE_NEWBORN_NS, /* the part of it from threads born meanwhile; not shown */
};

struct cpu_profile {
	struct stack_table stacks; /* label: a number of `labels` */
	struct cpu_labels labels;
	int hz;
	int64_t period_ns;
	int64_t start_ns; /* CLOCK_MONOTONIC */
	int64_t start_epoch_ns;
	int64_t duration_ns; /* filled in by cpu_profile_stop(), see account.c */
	struct cpu_profile *next;
	/* Process and listener CPU clocks when it began, and what ticks have accounted for. */
	int64_t process_cpu_ns, listener_cpu_ns, sampled_ns;
	int64_t lost_ns;    /* tick_lost_ns() when it began */
	int64_t newborn_ns; /* roster_newborn_ns() when it began */
};

/* The window begins: notes all clocks. */
void account_begin(struct cpu_profile *p);

/* `ns` of CPU time at one stack of thread `tid` (0: of none); `newborn`: of a thread that was
 * started while sampling ran. */
void account_add(struct cpu_profile *p, const uint64_t *frame, uint32_t depth, int64_t ns, int tid,
		 bool newborn);

/* The window is over: adds what is missing, and counts samples.  Sets p->duration_ns. */
void account_end(struct cpu_profile *p);

#endif
