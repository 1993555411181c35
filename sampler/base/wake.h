/*
 * Wakes the listener from its poll without a descriptor of the target's: a
 * signal sent to the listener's thread alone, which blocks it and reads it from
 * a signalfd of its own.
 */
#ifndef SAMPLER_BASE_WAKE_H
#define SAMPLER_BASE_WAKE_H

#include <stdbool.h>

/* The descriptor to poll, or -errno; then wake() does nothing.  Context: listener. */
int wake_open(void);

/* Empties it if somebody woke us.  Context: listener. */
void wake_clear(int fd);

/* Nobody is to be woken until the next wake_open().  Context: child, hook. */
void wake_after_fork(void);

/* At most one signal is on its way.  False: nobody can be woken.  Context: hook. */
bool wake(void);

#endif
