/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Under a system-call filter that kills, one unusual call of ours ends the
 * target.  Once a thread of the target is known to be filtered, the handler and
 * the hooks make no system call at all: stacks that are not known are not
 * copied, and threads get their timers from the listener only.
 */
#ifndef SAMPLER_BASE_SANDBOX_H
#define SAMPLER_BASE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/*
 * `filters`: how many filters a thread of the target has (Seccomp_filters in its
 * status; 0 in kernels that do not count them).  More than the process was started
 * with count as sandbox_note().
 */
void sandbox_set_first(uint64_t filters, bool filtered); /* Context: init. */
void sandbox_check(uint64_t filters);			 /* Context: listener. */

/* A filter that refuses none of our calls has come: one more is no reason.  Context: hook. */
void sandbox_expect_another(void);

/*
 * Some thread of the target is, or is about to be, filtered; and it is not after all.
 * Context: any role; hook.
 */
void sandbox_note(void);
void sandbox_forget(void);

/* Context: any role. */
bool sandbox_is_noted(void);

/* Where that is kept, a bool, for who reads it in another process.  Context: any role. */
const void *sandbox_noted_place(void);

/* As sandbox_is_noted(), or the process was started under a filter, or that is not known.  Context:
 * any role. */
bool sandbox_is_possible(void);

#endif
