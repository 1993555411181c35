/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The alternate signal stacks of the program's threads, as sigaltstack(2) set them.
 *
 * Ticks come on the alternate stack of a thread that has one: where a runtime gives
 * all its handlers one, its threads may have no room elsewhere (Go's goroutines,
 * Erlang's processes run on a few hundred bytes).  A stack without room for the
 * kernel's frame would be the end of the program, so a thread with one that is too
 * small, or whose memory is gone, gets no timer.
 *
 * Some programs give all their threads one stack, since what runs there is the end of the
 * program. Ticks of two of them would overwrite each other: whoever comes second gets a
 * stack of ours in its place, and reads back what it set.
 */
#ifndef SAMPLER_CPU_ALTERNATE_STACKS_H
#define SAMPLER_CPU_ALTERNATE_STACKS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* What a tick takes, where the kernel says that a frame takes `frame` (AT_MINSIGSTKSZ; 0: it does
 * not say).  Context: any role. */
uint64_t alternate_stack_bytes_needed(uint64_t frame);

/* Whether a tick has no room on it.  A disabled one has: no tick comes there. */
bool alternate_stack_is_too_small(const stack_t *stack);

/* The calling thread has this one from now on, or is about to.  Context: hook, init, child. */
void alternate_stack_note(int tid, const stack_t *stack);

/*
 * The calling thread is about to have this one.  True: another has it, too, and `ours` is to
 * be set in its place; if that is disabled there is none, and no tick may come.  Context: hook.
 */
bool alternate_stack_is_shared(int tid, const stack_t *stack, stack_t *ours);

/*
 * What the kernel says that the calling thread has now, after a call that set `set`, or was
 * refused (NULL).  Context: hook.
 */
void alternate_stack_settle(int tid, const stack_t *now, const stack_t *set);

/* What the calling thread has read, as the program set it.  Context: hook. */
void alternate_stack_show(int tid, stack_t *read);

/* Whether `sp` is on the stack that the calling thread set, though the kernel may have taken it
 * away for a handler there (SS_AUTODISARM).  Context: hook. */
bool alternate_stack_holds(int tid, uint64_t sp);

/* Where the thread's alternate stack is; false: it has none, or it is not known.
 * Context: listener. */
bool alternate_stack_of(int tid, uint64_t *lo, uint64_t *hi);

/* The calling thread begins, and has none.  Context: hook. */
void alternate_stack_forget_self(void);

/* The calling thread ends; no tick comes to it.  Context: hook. */
void alternate_stack_end_self(void);

/*
 * Whether a tick may come to the thread.  False too, for all threads, once a stack
 * that is too small could not be noted.  Context: hook, listener.
 */
bool alternate_stack_has_room(int tid);

/* The same, and its memory is still there.  Context: listener. */
bool alternate_stack_is_usable(int tid);

/* The same of the calling thread.  Context: hook. */
bool alternate_stack_is_usable_here(int tid);

/*
 * The thread that forked keeps its stack under another number, the others are not
 * there.  Context: child.
 */
void alternate_stacks_after_fork(void);

#endif
