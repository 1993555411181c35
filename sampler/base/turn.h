/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Whose turn it is: at most so many times a second, and some more at first, for
 * something that is cheap only when it is rare.
 */
#ifndef SAMPLER_BASE_TURN_H
#define SAMPLER_BASE_TURN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero: none was taken yet. */
struct turns {
	_Atomic int64_t due_ns; /* when those that were taken are paid for */
};

/*
 * True `burst` times at once, and once every interval_ns after; regained at that
 * rate.  That is the generic cell rate algorithm (ITU-T I.371).  Two threads at the
 * same instant may take one turn.  Context: any role.
 */
bool turn_take(struct turns *t, int64_t now_ns, int64_t interval_ns, int burst);

#endif
