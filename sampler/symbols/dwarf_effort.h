/* symbols: names and lines of addresses.  May include process and below. */
/*
 * A bound on work: debug information is large when it is honest and may be
 * endless when it is not.  Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_EFFORT_H
#define SAMPLER_SYMBOLS_DWARF_EFFORT_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/sys.h"

#define DWARF_STEPS_A_LOOK 65536 /* between looks at the clock; about 1 ms */

struct dwarf_effort {
	int64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint64_t steps;	     /* since the last look */
	bool is_spent;
};

/* Notes `n` steps of work.  False once the time is over. */
static inline bool dwarf_spend(struct dwarf_effort *e, uint64_t n)
{
	e->steps += n;
	if (e->steps >= DWARF_STEPS_A_LOOK) {
		e->steps = 0;
		e->is_spent |= sys_now_ns() >= e->deadline_ns;
	}
	return !e->is_spent;
}

/* As dwarf_spend(), with a look at the clock, for pieces of work that are long. */
static inline bool dwarf_has_time(struct dwarf_effort *e)
{
	return dwarf_spend(e, DWARF_STEPS_A_LOOK);
}

#endif
