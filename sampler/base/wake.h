/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Wakes the listener from its poll, from any thread of the target, by one system
 * call and without a descriptor: the listener's descriptors are in a table of its
 * own, where no hook can write to one.
 *
 * What is sent is the signal that libc reserves to cancel threads, to the
 * listener's thread alone, which blocks it and reads it from a signalfd.  No
 * signal of the target's is read, waited for or discarded by that.
 * docs/PROTOCOLS.md, "Wake", has the states.
 */
#ifndef SAMPLER_BASE_WAKE_H
#define SAMPLER_BASE_WAKE_H

#include <stdbool.h>

/*
 * The descriptor to poll.  -errno: wake() does nothing, and the listener has to
 * look by itself now and then.  Blocks the signal.  Context: listener.
 */
int wake_open(void);

/*
 * Nobody is woken from now on; `fd` is that of wake_open(), or -errno.  The thread
 * may end after it, and not before.  Context: listener.
 */
void wake_close(int fd);

/* Empties it, before the listener looks at what hooks have for it.  Context: listener. */
void wake_clear(int fd);

/* Nobody is to be woken until the next wake_open().  Context: child. */
void wake_after_fork(void);

/*
 * True: the listener will see what the caller wrote before.  At most one signal is
 * on its way, and another is sent when that is 0.1 s old.  False: nobody can be
 * woken, or not from here.  Context: hook.
 */
bool wake(void);

#endif
