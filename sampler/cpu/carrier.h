/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The signal that carries ticks: which one, our handler, and what the target
 * believes about it.
 *
 * SIGPROF unless the target uses it; then the first of SIGVTALRM, SIGSTKFLT and
 * the real-time signals whose disposition is the default.  Once installed, our
 * handler stays for the life of the process: a tick that comes late must never
 * meet the default action, which kills (H03).
 *
 * From then on the target's own wishes for that signal are kept here: it reads
 * back what it asked for, and signals that are no ticks of ours go to its
 * handler, or do what the default would have done.
 */
#ifndef SAMPLER_CPU_CARRIER_H
#define SAMPLER_CPU_CARRIER_H

#include <signal.h>
#include <stdbool.h>

/* Runs in the handler for each tick of ours. */
typedef void (*carrier_tick)(const siginfo_t *info, const void *ucontext);
/* Tells ticks of ours from the target's own timer signals.  Context: handler. */
typedef bool (*carrier_is_ours)(const siginfo_t *info);

/* `preferred`: a signal number, tried first.  Context: init. */
void carrier_init(int preferred, carrier_is_ours is_ours, carrier_tick tick);

/*
 * Makes sure that a carrier is installed and still ours.  Returns the signal, or
 * 0 and a sentence in *why.  Context: listener.
 */
int carrier_acquire(const char **why);

/*
 * From now on ticks come on the thread's alternate stack where it has one: in a
 * process with a Go runtime threads run on stacks of 2 KiB, and all that do have
 * an alternate stack with room (H14, H48).  Context: listener before timers run,
 * hook before such threads run.
 */
void carrier_use_alternate_stacks(void);

/*
 * No tick reaches anybody from now on, those that wait included: the kernel
 * ignores the signal.  Context: hook.
 */
void carrier_retire(void);

/*
 * The signal that carries ticks, 0 before the first profile.  From the moment it
 * is chosen the target's wishes for it are kept here, a moment before our handler
 * is in place.  Context: any role.
 */
int carrier_signal(void);

/*
 * Before the target sets or reads what `sig` does.  True: it is the carrier, so
 * carrier_set_action() is to be asked.  False: the kernel is, and until
 * carrier_leave() no handler of ours is installed, which the call would overwrite
 * (the next tick would then meet the default action, which kills).
 * Context: hook, handler.
 */
bool carrier_visit(int sig);
void carrier_leave(void);

/* The signal that is or would first be installed; 0 in a dormant shim.  Context: any role. */
int carrier_likely(void);

/*
 * What sigaction(2) is to the target for the carrier: remembers `act` (may be
 * NULL), reports the previous one in `old` (may be NULL).
 * Context: hook, handler.
 */
void carrier_set_action(const struct sigaction *act, struct sigaction *old);

#endif
