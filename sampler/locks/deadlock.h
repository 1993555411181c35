/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * Deadlocks: threads that wait for each other in a circle.  Pure.
 *
 * Context: listener.
 */
#ifndef SAMPLER_LOCKS_DEADLOCK_H
#define SAMPLER_LOCKS_DEADLOCK_H

#include <stdint.h>

#define DEADLOCK_NONE UINT32_MAX

/*
 * next[i] is the one thread that thread i waits for, DEADLOCK_NONE if it waits for
 * no thread.  Sets circle[i] to the number (0, 1, ...) of the circle that thread i
 * is part of, DEADLOCK_NONE for the others, also those that wait for a circle from
 * outside.  Returns how many circles there are.
 */
uint32_t deadlock_find(const uint32_t *next, uint32_t count, uint32_t *circle);

#endif
