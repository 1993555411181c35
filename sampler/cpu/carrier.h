/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * The signal that carries ticks, and our action for it.
 *
 * It is the one by which libc has all threads change their ids at once (SIGSETXID in
 * its sources).  libc keeps it out of everybody's hands: no function of libc puts it
 * into a mask, sets what it does, or waits for it; so what the program blocks, reads
 * back and inherits is its own affair, and a thread that blocks all signals can be
 * sampled.  Without a profile our handler is never called but for libc's own signal,
 * which is handed on to libc's handler.
 *
 * Once installed, our handler stays for the life of the process: a tick that comes
 * late must never meet the default action, which kills (H03).  Where libc puts its own
 * handler over ours, once in a life, that leaves ticks alone, and ours is put back.
 *
 * What the program (or libc) believes about it: carrier_belief.h.  What happens when it
 * comes: carrier_handler.h.  Handlers on alternate stacks: action_masks.h.
 */
#ifndef SAMPLER_CPU_CARRIER_H
#define SAMPLER_CPU_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

/* __SIGRTMIN is 32, the first of the kernel's real-time signals; SIGRTMIN is 34. */
#define CARRIER (__SIGRTMIN + 1)

/* What was seen of the alternate stacks of all threads, where no hook told of them. */
enum carrier_stacks {
	CARRIER_STACKS_UNSEEN,
	CARRIER_STACKS_NONE,   /* no thread has one (Python sets its handlers so all the same) */
	CARRIER_STACKS_OWN,    /* no two threads have the same */
	CARRIER_STACKS_SHARED, /* some have, and none has one of its own */
	CARRIER_STACKS_MIXED,
	CARRIER_STACKS_OF_ONE, /* there was one thread, which has one */
};

/*
 * No hook told of the alternate stacks that threads have: ticks go there only while some
 * handler of the program's does, for then its threads are prepared for a frame of the
 * kernel's; and not where none has one, or where threads share one, on which two ticks would
 * overwrite each other.  True: such handlers are there now, so somebody is to look, and leave
 * in `seen` what there is (enum carrier_stacks), at any time.  Context: init, before the first
 * profile of an attach.
 */
bool carrier_know_no_stacks(const uint32_t *seen);

/* Hooks tell of alternate stacks, and of the handlers that run on them.  Context: any role. */
bool carrier_hooks_tell(void);

/*
 * False: the thread began after the stacks were looked at, and it is not known whether it
 * shares that of the thread that was there.  0: any such.  Context: listener, hook.
 */
bool carrier_may_reach(int tid);

/*
 * Makes sure that our handler is installed.  Returns the signal, or 0 and a sentence in
 * *why.  Context: listener.
 */
int carrier_acquire(const char **why);

/*
 * libc installs its handler with the first thread that it makes: ours comes back
 * over it.  One load, when that has happened already.  Context: hook, listener.
 */
void carrier_keep(void);

/*
 * No tick may reach anybody from now on; the timers are gone.  Context: hook.
 */
void carrier_retire(void);

/*
 * After that, and when nobody can start a timer: the signal is what it was before us, also
 * for a program that is executed.  Context: hook.
 */
void carrier_leave(void);

#endif
