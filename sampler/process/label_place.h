/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The labels of threads as others see them.  A hook asks its own thread's word
 * (label_set_mine); who looks at a thread that waits, and a tick, which may have another
 * thread pointer than libc's, look here, where a thread has a place as long as it has labels.
 * docs/PROTOCOLS.md, "Labels".
 */
#ifndef SAMPLER_PROCESS_LABEL_PLACE_H
#define SAMPLER_PROCESS_LABEL_PLACE_H

#include <stdint.h>

/*
 * From now on the calling thread has this set (label_set.h).  `own_tid` tells its id, if that
 * is not known yet; 0: it must not be asked for.  Context: hook.
 */
void label_place_set(uint32_t set, int (*own_tid)(void));

/* The calling thread is about to end.  Context: hook. */
void label_place_end(void);

/* The set of a thread; 0: none, or not known.  Context: handler, listener. */
uint32_t label_place_of(int tid);

/* The set, if whoever takes ticks of this newborn process knows it; else 0.  Context: handler. */
uint32_t label_place_common(uint32_t set);

/* Forgets threads that have ended unseen: others may get their ids.  Context: listener. */
void label_places_sweep(void);

/* The forking thread keeps its labels, under its new id.  Context: child. */
void label_place_after_fork(void);

#endif
