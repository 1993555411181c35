/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The signal that carries ticks: our action for it.
 *
 * Once installed, our handler stays for the life of the process: a tick that comes
 * late must never meet the default action, which kills (H03).
 *
 * Which signal it is: carrier_choice.h.  What the program believes about it:
 * carrier_belief.h.  What happens when it comes: carrier_handler.h.  What it means for
 * the program's other handlers: action_masks.h.
 */
#ifndef SAMPLER_CPU_CARRIER_H
#define SAMPLER_CPU_CARRIER_H

/* `preferred`: a signal number, tried first.  Context: init. */
void carrier_init(int preferred);

/*
 * Makes sure that a carrier is installed and still ours.  Returns the signal, or
 * 0 and a sentence in *why.  Context: listener.
 */
int carrier_acquire(const char **why);

/*
 * No tick reaches anybody from now on, those that wait included: the kernel
 * ignores the signal.  Context: hook.
 */
void carrier_retire(void);

#endif
