/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * Before code is unloaded, the stacks that were captured in it are followed: later
 * its addresses may be another's.  The hook of dlclose wakes the listener and waits
 * for a whole pass over what is on its way, 2 ms at most (dlclose_waits_timed_out).
 * docs/PROTOCOLS.md, "Loaded code".
 */
#ifndef SAMPLER_CPU_UNLOAD_H
#define SAMPLER_CPU_UNLOAD_H

#include <stdint.h>

/*
 * Around a dlclose: waits, and announces the unload to everybody who walks a stack.  Waits
 * not at all when nothing is on its way, or nobody can be woken; where something is still
 * on its way then, that is said too (code_unload_begin_unsure()).  Context: hook.
 */
void unload_begin(void);
void unload_end(void);

/* Around a pass over everything that hooks and handlers left.  Context: listener. */
void unload_pass_begin(void);
void unload_pass_end(void);

/* Who waited is not there.  Context: child. */
void unload_after_fork(void);

#endif
