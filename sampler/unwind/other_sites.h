/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * What another process has counted at its sites (sites.h), read in its memory from outside:
 * of one that sleeps and answers nobody.  It has to be a process of this very library, as a
 * forked child is; then all lies there as it lies here, but for a distance.  Its stacks
 * that no listener has followed yet lie in its ring as they were captured, and are walked here.
 *
 * It may be under an attacker, so nothing there is believed: what is read is copied first,
 * each number is looked at before it is used, lists end after so many records, and what makes no
 * sense is left out (outside_nonsense).  What it can do is to have other numbers and names.
 *
 * Labels of the program are not read; of a process that had a listener, and answered with
 * them, nothing is then.
 *
 * Context: listener, between other_begin() and other_end().
 */
#ifndef SAMPLER_UNWIND_OTHER_SITES_H
#define SAMPLER_UNWIND_OTHER_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/unwind/sites.h"
#include "sampler/unwind/stacks.h"

/* Of one profile. */
struct other_sites_kind {
	const struct site_table *table;
	bool with_listener_only; /* nothing is counted in a process that never had one */
	void (*values)(const struct site *s, int64_t *value);
	/* Makes a profile's stacks of those of its sites. */
	void (*finish)(const struct stack_table *raw, struct stack_table *out);
};

enum other_sites_end {
	OTHER_SITES_READ,
	OTHER_SITES_REFUSED, /* by the kernel, or it is gone */
	OTHER_SITES_NONE,    /* it has not this library, or counts nothing */
	OTHER_SITES_MOVED,   /* it ran meanwhile, and changed what was read */
	OTHER_SITES_LATE,    /* it was stopped before all was read */
};

struct other_sites;

/*
 * `nowhere`: the module (modules.h) that code of no object has in its stacks, or 0.  NULL without
 * memory.
 */
struct other_sites *other_sites_begin(int pid, const struct other_sites_kind *kind,
				      uint32_t nowhere);

/* Reads on for some milliseconds.  True: there is more. */
bool other_sites_step(struct other_sites *o);

/* Adds what was found to `out`, if all was READ. */
enum other_sites_end other_sites_take(struct other_sites *o, struct stack_table *out);

void other_sites_free(struct other_sites *o);

#endif
