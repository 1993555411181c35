/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * Whose fault it is that a condition's wait did not have its mutex at once.
 *
 * A thread in pthread_cond_wait() begins to wait for the mutex inside of libc, so it
 * cannot be noted as a waiter (waiters.h).  Instead each unlock of such a mutex that has
 * somebody waiting leaves a note: from when to when it was held, and from where.  The
 * thread that comes back from its wait knows from when on it wanted the mutex, and adds
 * its time to the notes of that time.  So each moment of it is charged once, to the
 * unlock that ended the hold it was spent on.
 *
 * Mutexes are addresses here and nothing more: their memory is never read.
 *
 * Context: hook, where nothing else is said.
 */
#ifndef SAMPLER_LOCKS_RELOCKS_H
#define SAMPLER_LOCKS_RELOCKS_H

#include <stdbool.h>
#include <stdint.h>

struct relock;	    /* of one mutex */
struct relock_hold; /* a note */
struct site;

/* Adds to what is charged to the site: `ns`, and the same part of a wait in WEIGHT_ONE. */
typedef void (*relock_charge)(struct site *site, uint64_t ns, uint64_t weight);

/*
 * The calling thread is about to wait at a condition of this mutex.  NULL when there is no
 * room (mutex_relocks_unseen).
 */
struct relock *relock_note(const void *mutex, int64_t now_ns);

/* The record of a mutex, or NULL: no condition's wait brings anybody back to it. */
struct relock *relock_find(const void *mutex);

/* Whether the last note is older than this, by the processor's clock. */
bool relock_is_due(const struct relock *r, uint64_t cycles);

/* The thread that has the mutex gives it up now. */
struct relock_hold *relock_hold_ends(struct relock *r, int64_t now_ns);

/*
 * It has; that was at `site`, which is the note's until it is written over.  `now_ns` is that
 * of relock_hold_ends().
 */
void relock_hold_was(struct relock_hold *h, int64_t now_ns, struct site *site,
		     relock_charge charge);

/* The calling thread has wanted the mutex from then to then, and has it. */
void relock_done(struct relock *r, const void *mutex, int64_t from_ns, int64_t to_ns,
		 relock_charge charge);

/* While nobody notes anything.  Context: child. */
void relocks_after_fork(void);

#endif
