/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * Who holds which read-write lock for reading.  libc counts readers and does not say who
 * they are, so each has to be recorded; only while the program's user has asked for
 * that (PPROF_RWLOCK_READERS), since it costs every reader more than the lock does.
 */
#ifndef SAMPLER_LOCKS_READERS_H
#define SAMPLER_LOCKS_READERS_H

#include <stdbool.h>
#include <stdint.h>

/* The thread of this id has it for reading, once more; and gives it back.  Context: hook. */
void readers_add(const void *lock, int tid);
void readers_remove(const void *lock, int tid);

/*
 * The threads that are recorded for it: at most `max` ids.  Returns how many there are, a
 * thread that has it twice counted twice.  Context: listener.
 */
uint32_t readers_of(const void *lock, int *tid, uint32_t max);

/* Other threads' locks are not held here.  While no hook is inside.  Context: child. */
void readers_after_fork(void);

#endif
