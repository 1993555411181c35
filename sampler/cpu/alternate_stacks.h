/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The alternate signal stacks of the program's threads, as sigaltstack(2) set them.
 *
 * Ticks come on the alternate stack of a thread that has one: where a runtime gives
 * all its handlers one, its threads may have no room elsewhere (Go's goroutines,
 * Erlang's processes run on a few hundred bytes).  A stack without room for the
 * kernel's frame would be the end of the program, so a thread with one that is too
 * small, or whose memory is gone, gets no timer.
 */
#ifndef SAMPLER_CPU_ALTERNATE_STACKS_H
#define SAMPLER_CPU_ALTERNATE_STACKS_H

#include <signal.h>
#include <stdbool.h>

/* Whether a tick has no room on it.  A disabled one has: no tick comes there. */
bool alternate_stack_is_too_small(const stack_t *stack);

/* The calling thread has this one from now on, or is about to.  Context: hook, init, child. */
void alternate_stack_note(int tid, const stack_t *stack);

/* The calling thread has none: it begins or ends.  Context: hook. */
void alternate_stack_forget_self(void);

/*
 * Whether a tick may come to the thread.  False too, for all threads, once a stack
 * that is too small could not be noted.  Context: hook, listener.
 */
bool alternate_stack_has_room(int tid);

/* The same, and its memory is still there.  Context: listener. */
bool alternate_stack_is_usable(int tid);

/*
 * The thread that forked keeps its stack under another number, the others are not
 * there.  Context: child.
 */
void alternate_stacks_after_fork(void);

#endif
