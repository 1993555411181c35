/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Keeps what was learned about code in step with what is loaded: reads the
 * module table again and forgets the rows of modules that came or went.
 *
 * A dlclose is announced by its hook.  Until the listener has caught up, hooks
 * must not use rows, because they may be of code that is no longer there.
 * docs/PROTOCOLS.md, "Loaded code", has the variables and who writes them.
 */
#ifndef SAMPLER_UNWIND_CODE_H
#define SAMPLER_UNWIND_CODE_H

#include <stdbool.h>
#include <stdint.h>

/* Returns true when a module came or went.  Context: listener. */
bool code_refresh(void);

/* Refreshes only if something was unloaded since the last refresh.  Context: listener. */
void code_catch_up(void);

/* CLOCK_MONOTONIC ns of the last code_refresh().  Context: listener. */
int64_t code_refreshed_ns(void);

/* Threads that were unloading are not in the child; what they unloaded may be gone.  Context:
 * child. */
void code_after_fork(void);

/* Around a dlclose: between them a module may go at any moment.  Context: hook. */
void code_unload_begin(void);
void code_unload_end(void);

/* How many calls of code_unload_end() there were.  Context: hook, listener. */
unsigned code_unloads(void);

/* Addresses mean what the module table says, and rows may be used.  Context: hook, listener. */
bool code_is_fresh(void);

#endif
