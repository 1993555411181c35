/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/* Who holds a read-write lock for reading, for goroutine. */
#ifndef SHIM_HOOKS_LOCK_READERS_H
#define SHIM_HOOKS_LOCK_READERS_H

/*
 * Puts functions that record readers before those of the table of next definitions, so
 * that nobody pays for it where it is off.  Context: init, hook.
 */
void lock_readers_record(void);

#endif
