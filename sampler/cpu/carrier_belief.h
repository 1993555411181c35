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
 * The signal that carries ticks, 0 before the first profile.  From the moment it is
 * chosen the program's action for it is kept by us, a moment before our handler is in
 * place.  Context: any role.
 */
int carrier_signal(void);

/*
 * Around each call by which the program sets or reads what `sig` does.
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

/* How often it was set, to notice that it was.  Context: listener. */
unsigned carrier_wanted_count(void);

/*
 * From now on `sig` is what the action is kept for, 0: none; the default if it was
 * another one before.  Context: listener.
 */
void carrier_believe_in(int sig);

/*
 * Waits until no call of the program is under way that began before
 * carrier_believe_in(); 0.1 s at most.  Context: listener.
 */
void carrier_wait_for_actions(void);

#endif
