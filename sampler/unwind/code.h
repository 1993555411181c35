/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Keeps what was learned about code in step with what is loaded: reads the
 * module table again and forgets the rows of modules that came or went.
 *
 * A dlclose is announced by its hook.  Until the listener has caught up, hooks
 * must not use the rows of modules that may go: they may be of code that is no longer
 * there.  docs/PROTOCOLS.md, "Loaded code", has the variables and who writes them.
 */
#ifndef SAMPLER_UNWIND_CODE_H
#define SAMPLER_UNWIND_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/unwind/code_stamp.h"

/* Looks at the loader's list.  Returns true when a module came or went.  Context: listener. */
bool code_refresh(void);

/* Refreshes only if something may have been unloaded since the last refresh.  Context: listener. */
void code_catch_up(void);

/*
 * Whether the table is of a moment at which all code was there that was when `s` was taken:
 * nothing was unloaded since the last look, or that began after it.  Context: listener.
 */
bool code_has_looked_since(const struct code_stamp *s);

/*
 * Whether something else may have been where the table now has this frame, when `s` was
 * taken: its object was not known before, and something may have been unloaded since.
 * Context: listener.
 */
bool code_may_have_gone(const struct code_stamp *s, uint64_t frame);

/* Threads that were unloading are not in the child; what they unloaded may be gone.  Context:
 * child. */
void code_after_fork(void);

/* Around a dlclose: between them a module may go at any moment.  Context: hook. */
void code_unload_begin(void);
void code_unload_end(void);

/* The same, if something captured before it may not be followed until then.  Context: hook. */
void code_unload_begin_unsure(void);

#endif
