/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Names of code that is made at run time.  Runtimes tell them in files when they are
 * asked to: /tmp/perf-PID.map, one line a function, and jitdump, a binary file that
 * the runtime maps for profilers to find it.  Both only grow, and code is replaced:
 * of several entries for an address the last one counts.  So a name is the one that
 * the address has when the profile is written, which may be younger than the sample.
 *
 * The files lie where anybody may put one.  One is read only if it is a regular file
 * of ours or of root's, under one name, and no symbolic link; and then as text of a
 * stranger: bounded in size, time and memory.
 *
 * What was read is kept for JIT_NAMES_NS after it was last asked for, so that a scraper
 * has only read what came since.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_JIT_NAMES_H
#define SAMPLER_SYMBOLS_JIT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/symbol.h"

/*
 * Fills frame[i] for pc[i] (ascending) where a file tells its name; the others keep
 * NULL as name.  Strings are in `a`.  What could not be read, or not to its end,
 * counts in jit_names_refused.
 */
void jit_names_find(struct arena *a, const uint64_t *pc, size_t count, struct symbol_frame *frame);

#define JIT_NAMES_NS (60LL * 1000000000)

/*
 * Called after each piece of the listener's work.  Gives back what is due; returns
 * when to be called again at the latest, CLOCK_MONOTONIC ns, or INT64_MAX.
 */
int64_t jit_names_do_due(int64_t now_ns);

/* What was kept is not there.  Context: child. */
void jit_names_after_fork(void);

#endif
