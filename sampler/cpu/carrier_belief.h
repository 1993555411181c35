/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * What the program believes that the carrier does: the action that it asked for,
 * while the kernel has ours.  The program reads it back, and signals that are no
 * ticks of ours do what it says.
 */
#ifndef SAMPLER_CPU_CARRIER_BELIEF_H
#define SAMPLER_CPU_CARRIER_BELIEF_H

#include <signal.h>
#include <stdbool.h>

/*
 * CARRIER, or 0 before the first profile.  From then on what the program (or libc) wants
 * it to do is kept by us, a moment before our handler is in place.  Context: any role.
 */
int carrier_signal(void);

/*
 * Around each system call by which the program sets or reads what CARRIER does.
 *
 * True: it is the carrier, and carrier_set_wanted() is to be asked; there is nothing
 * to end.  False: the kernel is, and until carrier_end_action() no handler of ours is
 * installed that the call would overwrite (the next tick would then meet the default
 * action, which kills).  Context: hook, handler.
 */
bool carrier_begin_action(int sig);
void carrier_end_action(void);

/*
 * What sigaction(2) is to the program for the carrier: keeps `act` (may be NULL),
 * reports the previous one in `old` (may be NULL).  Context: hook, handler.
 */
void carrier_set_wanted(const struct sigaction *act, struct sigaction *old);

/* The action in force; the default before the program said anything.  Context: handler. */
struct sigaction carrier_wanted(void);

/*
 * From now on `sig` is what the action is kept for, 0: none.  Context: listener.
 */
void carrier_believe_in(int sig);

/*
 * Waits until no call of the program is under way that began before
 * carrier_believe_in(); 0.1 s at most.  Context: listener.
 */
void carrier_wait_for_actions(void);

#endif
