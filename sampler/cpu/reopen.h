/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * While the program's ids change, no thread keeps the carrier blocked by a mask of ours.
 *
 * It is libc's signal, which takes every thread to change its ids, and libc waits for all of them.
 * A handler on an alternate stack blocks it while ticks may come (action_masks.h), and so does a
 * thread that left one by an exception or by a jump of its own: there is no end to that.  What
 * such a mask leaves open is the other signal that libc keeps to itself, by which threads are
 * cancelled.  Our handler for that takes the carrier out of the mask to which it returns; where
 * the thread is still on its alternate stack, no tick comes to it from then on.  Alone, the
 * signal of libc's would have come at the same place.
 *
 * What libc sends by that signal our handler hands on to libc's: it stays once it is there, and
 * comes back over libc's when it is needed again.
 */
#ifndef SAMPLER_CPU_REOPEN_H
#define SAMPLER_CPU_REOPEN_H

#include <stdbool.h>
#include <stdint.h>

/* Around a call by which libc changes the ids of all threads; what the first says the second is
 * told.  Context: hook. */
bool reopen_begin(void);
void reopen_end(bool began);

/* Looks at all threads, if such a call takes long.  Returns when to look again, INT64_MAX: there
 * is none.  Context: listener. */
int64_t reopen_do_due(int64_t now_ns);

/* Nobody is within such a call.  Context: child. */
void reopen_after_fork(void);

#endif
