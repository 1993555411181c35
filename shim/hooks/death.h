/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Signals whose default ends the program, of a program that is to leave its profiles behind:
 * as long as it has no handler of its own, ours writes the files (life/ending.h) and lets
 * the signal do what it would have done.  Where an instruction failed it is made again;
 * any other signal is sent once more as it came, so that status, core file and registers
 * are those of a death without us.  The program sees the default all along.
 *
 * In the first process of a process id namespace, a container's, it is for faults alone:
 * the kernel keeps all others from it as long as they are at their default.
 */
#ifndef SHIM_HOOKS_DEATH_H
#define SHIM_HOOKS_DEATH_H

#include <signal.h>
#include <stdbool.h>

/* Takes all those that are at their default.  Context: init. */
void death_init(void);

/*
 * `sig` begins and ends a profile (life/recording.h) in place of ending the program, as long
 * as that is at its default.  Context: init, before death_init().
 */
void death_toggle(int sig);

/* Why it does not, as a sentence; NULL: it does.  Context: any role. */
const char *death_toggle_lost(void);

/* For death_settle() only. */
extern bool death_is_on;
void death_settle_action(int sig, const struct sigaction *act, struct sigaction *old);

/*
 * After the program has set what `sig` does to `act` (NULL: it asked only): hides our
 * handler in what it was told, and puts it back where the default is wanted.  Context: hook.
 */
static inline void death_settle(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (death_is_on)
		death_settle_action(sig, act, old);
}

#endif
