/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * When conditions were signalled.  A wait at a condition has two parts, and libc's call
 * does not tell where one ends: until it is woken, which is nobody's fault, and until it
 * has its mutex again.
 *
 * Conditions are addresses here and nothing more: their memory is never read.
 *
 * Context: hook, where nothing else is said.
 */
#ifndef SAMPLER_LOCKS_WAKES_H
#define SAMPLER_LOCKS_WAKES_H

#include <stdbool.h>
#include <stdint.h>

/* `condition` is about to be signalled, or broadcast to `all`. */
void wakes_note(const void *condition, bool all, int64_t now_ns);

/*
 * When a thread that began to wait at `condition` then, and is woken now, was woken at the
 * latest: by the first broadcast of that time or else the last signal; 0: not known.  Of
 * many broadcasts the first ones are forgotten.
 */
int64_t wakes_since(const void *condition, int64_t start_ns);

/* While nobody notes anything.  Context: child. */
void wakes_after_fork(void);

#endif
