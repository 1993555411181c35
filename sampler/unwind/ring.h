/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * A ring of variable-size records: any number of producers (signal handlers),
 * one consumer (the listener), no lock, no waiting.
 *
 * A producer reserves space with one compare-and-swap, fills it in and commits.
 * The consumer sees records in order of reservation, stops at the first that is
 * not committed, and zeroes what it gives back, so that the header of the next
 * record there reads "not committed".
 *
 * docs/PROTOCOLS.md, "Ring", has the states of a record.
 *
 *      tail                       head
 *       | record | record | pad | ...    positions only grow; modulo size
 */
#ifndef SAMPLER_UNWIND_RING_H
#define SAMPLER_UNWIND_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	uint8_t *bytes;
	uint64_t size;		   /* a power of two */
	atomic_uint_fast64_t head; /* producers */
	atomic_uint_fast64_t tail; /* consumer */
	bool kept;		   /* by forked children */
};

/* `size` is a power of two.  Returns 0, or -1 without memory.  Context: listener. */
int ring_init(struct ring *r, size_t size);

/* As ring_init(), and a forked child has the ring too, see ring_mend().  Context: hook. */
int ring_init_kept(struct ring *r, size_t size);

/*
 * In a forked child: who was filling in a record is not there.  Cuts the ring at
 * the first record that will never be committed.  Context: child.
 */
void ring_mend(struct ring *r);

/*
 * Has the kernel map the first `bytes`, at most what is used up to a rewind, a quarter of the
 * ring, so that no producer faults there.  Nothing that is in it changes.  Context: listener.
 */
void ring_touch(struct ring *r, uint64_t bytes);

/* Context: listener, when no producer can be inside. */
void ring_release(struct ring *r);

/* Bytes that are reserved and not yet given back.  Context: listener, hook. */
uint64_t ring_used(struct ring *r);

/*
 * Goes on at the beginning when nothing is in the ring, so that its first pages
 * serve again and again: a fresh page would fault in the target's handler.
 * Context: listener.
 */
void ring_rewind(struct ring *r);

/*
 * Reserves `len` bytes (at most a quarter of the ring), zeroed and aligned to
 * 16.  NULL when there is no room.  Every reservation must be committed.
 * Context: handler.
 */
void *ring_reserve(struct ring *r, size_t len);

/* Context: handler. */
void ring_commit(void *record);

/* The oldest committed record, or NULL.  Borrowed until ring_pop().  Context: listener. */
void *ring_front(struct ring *r);

/* Gives the record that ring_front() returned back.  Context: listener. */
void ring_pop(struct ring *r);

/*
 * NULL, or what is wrong, in words.  While no producer is inside: each record then is
 * committed, and all else is zero.  Context: tests.
 */
const char *ring_check(struct ring *r);

#endif
